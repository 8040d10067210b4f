"""Patches of an image to tokens."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.initializers import kernel_initializer


@keras.saving.register_keras_serializable("keras_ssl")
class PatchEmbedding(keras.layers.Layer):
    """One dense layer on each patch: a convolution whose stride is its size.

    Args:
        width: Channels of a token.
        patch_size: Side of a patch in pixels.
        init: How the kernel starts, seen as that of a dense layer: `normal` leaves it
            as PyTorch's convolutions (uniform, limit `1 / sqrt(inputs)`), as in DINO;
            otherwise see `kernel_initializer`.

    Input shape: `(n, h, w, c)`, sides multiples of `patch_size`.
    Output shape: `(n, h / patch_size * w / patch_size, width)`, row by row.
    """

    def __init__(
        self, width: int, patch_size: int, init: str = "xavier", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.patch_size, self.init = width, patch_size, init
        self.dense = keras.layers.Dense(
            width,
            kernel_initializer=(
                keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
                if init == "normal"
                else kernel_initializer(init)
            ),
            name="dense",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build((None, self.patch_size**2 * (input_shape[-1] or 0)))

    def call(self, images: tf.Tensor) -> tf.Tensor:
        size = self.patch_size
        _, height, width, channels = images.shape
        x = tf.reshape(
            images, [-1, height // size, size, width // size, size, channels]
        )
        x = tf.transpose(x, [0, 1, 3, 2, 4, 5])
        tokens = (height // size) * (width // size)
        return self.dense(tf.reshape(x, [-1, tokens, size * size * channels]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "patch_size": self.patch_size,
            "init": self.init,
        }
