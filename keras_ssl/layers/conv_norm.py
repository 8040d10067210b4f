"""Convolution, norm and ReLU: what residual networks are made of."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.layers.batch_norm import BatchNorm
from keras_ssl.layers.layer_norm import LayerNorm

NORMS = ("batch", "layer", "none")


@keras.saving.register_keras_serializable("keras_ssl")
class ConvNorm(keras.layers.Layer):
    """Convolution without bias, a norm, and ReLU where asked.

    Strided convolutions pad symmetrically, as google-research/simclr tf2/resnet.py
    and torchvision do; "same" of TensorFlow would pad the far side only.

    Args:
        width: Number of output channels.
        size: Side of the kernel.
        strides: Stride in both directions.
        activate: Whether a ReLU follows.
        zero_gamma: Whether the norm's scale starts at 0; without a norm, the kernel.
        norm: `batch`, `layer` (over the channels of each pixel: no example meets
            another) or `none` (the convolution has a bias then).

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / strides), ceil(w / strides), width)`.

    Raises:
        ValueError: If `norm` is unknown.
    """

    def __init__(
        self,
        width: int,
        size: int = 3,
        strides: int = 1,
        activate: bool = True,
        zero_gamma: bool = False,
        norm: str = "batch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.one_of(NORMS, norm=norm)
        self.width, self.size, self.strides = width, size, strides
        self.activate, self.zero_gamma = activate, zero_gamma
        self.norm_kind = norm
        self.conv = keras.layers.Conv2D(
            width,
            size,
            strides,
            padding="valid" if strides > 1 else "same",
            use_bias=norm == "none",
            # Fan-out keeps the gradients' variance through ReLUs (He et al. 2015).
            kernel_initializer="zeros"
            if norm == "none" and zero_gamma
            else keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            name="conv",
            dtype=self.dtype_policy,
        )
        policy: dict[str, Any] = {"name": "norm", "dtype": self.dtype_policy}
        self.norm: Any = None
        if norm == "batch":
            self.norm = BatchNorm(zero_gamma=zero_gamma, **policy)
        elif norm == "layer":
            self.norm = LayerNorm(zero_gamma=zero_gamma, **policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # Without a size: Keras would refuse maps smaller than the kernel, unpadded.
        self.conv.build((None, None, None, input_shape[-1]))
        if self.norm is not None:
            self.norm.build((*input_shape[:-1], self.width))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.strides > 1 and self.size > 1:
            before = (self.size - 1) // 2
            after = self.size - 1 - before
            x = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x, training=training)
        return tf.nn.relu(x) if self.activate else x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "size": self.size,
            "strides": self.strides,
            "activate": self.activate,
            "zero_gamma": self.zero_gamma,
            "norm": self.norm_kind,
        }
