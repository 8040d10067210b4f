"""Selective kernels: Li et al. 2019, https://arxiv.org/abs/1903.06586."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.conv_norm import ConvNorm


@keras.saving.register_keras_serializable("keras_ssl")
class SelectiveKernel(keras.layers.Layer):
    """Two 3x3 convolutions, mixed channel by channel as the image asks for.

    The form of SimCLRv2 (google-research/simclr tf2/resnet.py): both streams have
    kernels of 3x3 and are one convolution of twice the width.

    Args:
        width: Number of output channels.
        strides: Stride in both directions.
        ratio: Share of `width` that the description of an image has, in (0, 1].
        min_width: Fewest channels of that description.

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, ceil(h / strides), ceil(w / strides), width)`.

    Raises:
        ValueError: If `ratio` is out of range.
    """

    def __init__(
        self,
        width: int,
        strides: int = 1,
        ratio: float = 0.0625,
        min_width: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0.0 < ratio <= 1.0:
            raise ValueError(f"sk_ratio must be in (0, 1], got {ratio}.")
        self.width, self.strides = width, strides
        self.ratio, self.min_width = ratio, min_width
        policy: dict[str, Any] = {"dtype": self.dtype_policy}
        narrow = max(int(width * ratio), min_width)
        self.streams = ConvNorm(2 * width, 3, strides, name="streams", **policy)
        self.squeeze = ConvNorm(narrow, 1, name="squeeze", **policy)
        self.excite = keras.layers.Conv2D(
            2 * width,
            1,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "truncated_normal"
            ),
            name="excite",
            **policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.streams.build(input_shape)
        self.squeeze.build((None, 1, 1, self.width))
        self.excite.build((None, 1, 1, self.squeeze.width))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        first, second = tf.split(self.streams(x, training=training), 2, axis=-1)
        # Over all pixels: bfloat16 would lose what small ones add.
        whole = tf.cast(first + second, tf.float32)
        image = tf.reduce_mean(whole, axis=[1, 2], keepdims=True)
        said = self.excite(
            self.squeeze(tf.cast(image, x.dtype), training=training),
        )
        a, b = tf.split(tf.cast(said, tf.float32), 2, axis=-1)
        # A softmax over two.
        share = tf.cast(tf.sigmoid(a - b), x.dtype)
        return share * first + (1 - share) * second

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "strides": self.strides,
            "ratio": self.ratio,
            "min_width": self.min_width,
        }
