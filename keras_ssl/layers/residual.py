"""Stems and blocks of the ResNet family (He et al. 2015)."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.conv_norm import ConvNorm
from keras_ssl.layers.selective_kernel import SelectiveKernel


@keras.saving.register_keras_serializable("keras_ssl")
class DeepStem(keras.layers.Layer):
    """Three 3x3 convolutions in place of the 7x7 one (ResNet-D, He et al. 2018).

    Source: https://arxiv.org/abs/1812.01187, section 4.2.

    Args:
        width: Channels of the last convolution; the other two have half as many.
        norm: As for `ConvNorm`.

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / 2), ceil(w / 2), width)`.
    """

    def __init__(self, width: int, norm: str = "batch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.norm = width, norm
        self.convs = [
            ConvNorm(
                w, 3, strides, norm=norm, name=f"conv{i + 1}", dtype=self.dtype_policy
            )
            for i, (w, strides) in enumerate(
                ((width // 2, 2), (width // 2, 1), (width, 1))
            )
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for conv in self.convs:
            conv.build(shape)
            shape = (*shape[:-1], conv.width)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        for conv in self.convs:
            x = conv(x, training=training)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "norm": self.norm}


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
        sk_ratio: If positive, the 3x3 convolution of a bottleneck selects its kernel
            and the shortcut averages 2x2 pixels before it projects (SimCLRv2).
        norm: As for `ConvNorm`; only `batch` where a kernel is selected.

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / strides), ceil(w / strides), width or 4 * width)`.

    Raises:
        ValueError: If `sk_ratio` is given to a basic block or with another norm.
    """

    def __init__(
        self,
        width: int,
        strides: int = 1,
        bottleneck: bool = False,
        project: bool = False,
        zero_gamma: bool = True,
        sk_ratio: float = 0.0,
        norm: str = "batch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if sk_ratio and norm != "batch":
            raise ValueError(f"sk_ratio={sk_ratio} needs norm 'batch', got {norm!r}.")
        if sk_ratio and not bottleneck:
            raise ValueError(
                f"sk_ratio={sk_ratio} needs bottleneck blocks (depth 50 and more)."
            )
        self.width, self.strides = width, strides
        self.bottleneck, self.project = bottleneck, project
        self.zero_gamma, self.sk_ratio, self.norm = zero_gamma, sk_ratio, norm
        out = 4 * width if bottleneck else width
        self.out_width = out
        selects: dict[str, Any] = {"dtype": self.dtype_policy}
        policy = {**selects, "norm": norm}
        last = {**policy, "activate": False, "zero_gamma": zero_gamma}
        if not bottleneck:
            self.branch = [
                ConvNorm(width, 3, strides, name="conv1", **policy),
                ConvNorm(out, 3, name="conv2", **last),
            ]
        else:
            self.branch = [
                ConvNorm(width, 1, name="conv1", **policy),
                SelectiveKernel(width, strides, sk_ratio, name="conv2", **selects)
                if sk_ratio
                else ConvNorm(width, 3, strides, name="conv2", **policy),
                ConvNorm(out, 1, name="conv3", **last),
            ]
        # Averaging takes the stride where there is selection.
        step = 1 if sk_ratio else strides
        self.shortcut = (
            ConvNorm(out, 1, step, activate=False, name="shortcut", **policy)
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
        shortcut = x
        if self.shortcut is not None:
            averaged = _averaged(x, self.strides) if self.sk_ratio else x
            shortcut = self.shortcut(averaged, training=training)
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
            "sk_ratio": self.sk_ratio,
            "norm": self.norm,
        }


def _averaged(x: tf.Tensor, strides: int) -> tf.Tensor:
    """Means of 2x2 pixels, at the edges as google-research/simclr tf2/resnet.py has it.

    With a stride, zeros beyond the edge count; without one they do not.
    """
    if strides == 1:
        return tf.nn.avg_pool2d(x, 2, 1, "SAME")
    x = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]])
    return tf.nn.avg_pool2d(x, 2, strides, "VALID")
