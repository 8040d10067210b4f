"""Convolution, batch norm and ReLU: what residual networks are made of."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.batch_norm import BatchNorm


@keras.saving.register_keras_serializable("keras_ssl")
class ConvNorm(keras.layers.Layer):
    """Convolution without bias, batch norm, and ReLU where asked.

    Strided convolutions pad symmetrically, as google-research/simclr tf2/resnet.py
    and torchvision do; "same" of TensorFlow would pad the far side only.

    Args:
        width: Number of output channels.
        size: Side of the kernel.
        strides: Stride in both directions.
        activate: Whether a ReLU follows.
        zero_gamma: Whether the norm's scale starts at 0.

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / strides), ceil(w / strides), width)`.
    """

    def __init__(
        self,
        width: int,
        size: int = 3,
        strides: int = 1,
        activate: bool = True,
        zero_gamma: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.size, self.strides = width, size, strides
        self.activate, self.zero_gamma = activate, zero_gamma
        self.conv = keras.layers.Conv2D(
            width,
            size,
            strides,
            padding="valid" if strides > 1 else "same",
            use_bias=False,
            # Fan-out keeps the gradients' variance through ReLUs (He et al. 2015).
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "truncated_normal"
            ),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.norm = BatchNorm(
            zero_gamma=zero_gamma, name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # Without a size: Keras would refuse maps smaller than the kernel, unpadded.
        self.conv.build((None, None, None, input_shape[-1]))
        self.norm.build((*input_shape[:-1], self.width))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.strides > 1 and self.size > 1:
            before = (self.size - 1) // 2
            after = self.size - 1 - before
            x = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])
        x = self.norm(self.conv(x), training=training)
        return tf.nn.relu(x) if self.activate else x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "size": self.size,
            "strides": self.strides,
            "activate": self.activate,
            "zero_gamma": self.zero_gamma,
        }
