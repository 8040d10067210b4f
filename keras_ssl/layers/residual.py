"""Convolutions and residual blocks of the ResNet family (He et al. 2015)."""

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


@keras.saving.register_keras_serializable("keras_ssl")
class ResidualBlock(keras.layers.Layer):
    """`relu(shortcut(x) + branch(x))` with a basic or a bottleneck branch.

    Args:
        width: Channels of the inner convolutions.
        strides: Stride of the block, taken by its first 3x3 convolution.
        bottleneck: Whether the branch is 1x1, 3x3, 1x1 (to `4 * width`) instead of
            two 3x3 convolutions.
        project: Whether the shortcut is a 1x1 convolution instead of the identity.
        zero_gamma: Whether the branch starts at 0, so that the block is its shortcut.

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / strides), ceil(w / strides), width or 4 * width)`.
    """

    def __init__(
        self,
        width: int,
        strides: int = 1,
        bottleneck: bool = False,
        project: bool = False,
        zero_gamma: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.strides = width, strides
        self.bottleneck, self.project = bottleneck, project
        self.zero_gamma = zero_gamma
        out = 4 * width if bottleneck else width
        self.out_width = out
        specs: list[dict[str, Any]] = (
            [
                {"width": width, "size": 1},
                {"width": width, "strides": strides},
                {"width": out, "size": 1, "activate": False, "zero_gamma": zero_gamma},
            ]
            if bottleneck
            else [
                {"width": width, "strides": strides},
                {"width": out, "activate": False, "zero_gamma": zero_gamma},
            ]
        )
        self.branch = [
            ConvNorm(**spec, name=f"conv{i + 1}", dtype=self.dtype_policy)
            for i, spec in enumerate(specs)
        ]
        self.shortcut = (
            ConvNorm(
                out,
                1,
                strides,
                activate=False,
                name="shortcut",
                dtype=self.dtype_policy,
            )
            if project
            else None
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.shortcut is not None:
            self.shortcut.build(input_shape)
        shape = input_shape
        for conv in self.branch:
            conv.build(shape)
            shape = (*shape[:-1], conv.width)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x, training=training)
        for conv in self.branch:
            x = conv(x, training=training)
        return tf.nn.relu(shortcut + x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "strides": self.strides,
            "bottleneck": self.bottleneck,
            "project": self.project,
            "zero_gamma": self.zero_gamma,
        }
