"""Recordings to features: the encoder of CPC, https://arxiv.org/abs/1807.03748."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ssl.core.registry import register


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class AudioEncoder(keras.Model):
    """Strided convolutions over the waveform, and a GRU over what they give.

    Maps `(n, samples)` waveforms in [-1, 1] to `(n, feature_dim)` float32 features, the
    mean of the GRU's states. A recording shorter than its row is followed by zeros:
    zeros at the end are no part of it, and do not change its features.

    The defaults make 100 frames a second of 8 kHz; at 16 kHz the paper has five
    convolutions of 512 channels, kernels (10, 8, 4, 4, 4) and strides (5, 4, 2, 2, 2).

    Args:
        width: Channels of the convolutions: of a frame's latent.
        kernels: Width of each convolution, in the previous one's frames.
        strides: Stride of each, at most its kernel.
        context_width: Width of the GRU: of the features.
        **kwargs: `name` and the like, for `keras.Model`.

    Raises:
        ValueError: If `kernels` and `strides` do not fit together.
    """

    takes: ClassVar[str] = "audio"

    def __init__(
        self,
        width: int = 512,
        kernels: Sequence[int] = (10, 8, 4, 4),
        strides: Sequence[int] = (5, 4, 2, 2),
        context_width: int = 256,
        **kwargs: Any,
    ) -> None:
        # Keras would round waveforms to bfloat16 before anything is done with them.
        super().__init__(autocast=False, **{"name": "audio_encoder", **kwargs})
        pairs = list(zip(kernels, strides, strict=False))
        if not len(kernels) == len(strides) > 0 or any(
            not k >= s > 0 for k, s in pairs
        ):
            raise ValueError(
                "kernels and strides need an entry for each convolution, a kernel "
                f"being at least its stride; got {tuple(kernels)} and {tuple(strides)}."
            )
        self.width, self.context_width = width, context_width
        self.kernels, self.strides = tuple(kernels), tuple(strides)
        self.latent_dim, self.feature_dim = width, context_width
        self.hop = math.prod(strides)
        # Samples that a frame depends on.
        self.field = 1 + sum(
            (kernel - 1) * math.prod(strides[:i]) for i, kernel in enumerate(kernels)
        )
        self.convs = [
            keras.layers.Conv1D(
                width,
                kernel,
                stride,
                kernel_initializer="he_normal",
                name=f"conv{i + 1}",
                dtype=self.dtype_policy,
            )
            for i, (kernel, stride) in enumerate(pairs)
        ]
        self.gru = keras.layers.GRU(
            context_width, return_sequences=True, name="gru", dtype=self.dtype_policy
        )

    def build(self, input_shape: Any = None) -> None:
        for i, conv in enumerate(self.convs):
            conv.build((None, None, self.width if i else 1))
        self.gru.build((None, None, self.width))
        self.built = True

    def latents(
        self, waveforms: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents of the frames, and which frames have begun before the recording ends.

        Args:
            waveforms: `(n, samples)` floats in [-1, 1].
            training: Not used: nothing here differs in training.

        Returns:
            `(n, frames, 1, width)`, and `(n, frames, 1)` float32, 1 or 0; there are
            `ceil(samples / hop)` frames.

        Raises:
            ValueError: If the input is no batch of waveforms.
        """
        del training
        if not self.built:  # CPC never calls the encoder itself.
            self.build()
        waveforms = tf.convert_to_tensor(waveforms)
        if waveforms.shape.rank != 2:
            raise ValueError(
                f"{self.name} needs waveforms of shape (n, samples), got "
                f"{waveforms.shape}. One recording needs waveform[None]."
            )
        samples = waveforms.shape[1] or tf.shape(waveforms)[1]
        frames = (samples + self.hop - 1) // self.hop
        # All zeros that are ever needed, before the first convolution: so that no
        # frame depends on how many of them stood at the end already.
        before = (self.field - self.hop) // 2
        after = self.field + (frames - 1) * self.hop - samples - before
        x = tf.pad(tf.cast(waveforms, self.compute_dtype), [[0, 0], [before, after]])
        x = x[..., None]
        for conv in self.convs:
            x = tf.nn.relu(conv(x))
        places = tf.range(1, samples + 1)
        end = tf.reduce_max(tf.where(waveforms != 0, places, 0), axis=1)
        valid = tf.range(frames) * self.hop < end[:, None]
        return x[:, :, None], tf.cast(valid, tf.float32)[..., None]

    def context(self, latents: tf.Tensor, training: bool = False) -> tf.Tensor:
        """States of the GRU, `(n, frames, 1, context_width)`."""
        return self.gru(latents[:, :, 0], training=training)[:, :, None]

    def call(self, waveforms: tf.Tensor, training: bool = False) -> tf.Tensor:
        latents, valid = self.latents(waveforms, training=training)
        states = tf.cast(self.context(latents, training=training), tf.float32)
        count = tf.maximum(tf.reduce_sum(valid, axis=1), 1.0)
        return tf.reduce_sum(states * valid[..., None], axis=[1, 2]) / count

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "width": self.width,
            "kernels": self.kernels,
            "strides": self.strides,
            "context_width": self.context_width,
        }
