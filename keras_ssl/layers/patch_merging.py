"""From one stage of Swin to the next: https://arxiv.org/abs/2103.14030, section 3.1."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.initializers import kernel_initializer
from keras_ssl.layers.layer_norm import LayerNorm


@keras.saving.register_keras_serializable("keras_ssl")
class PatchMerging(keras.layers.Layer):
    """Makes one token of four neighbours, with twice the channels of one.

    Args:
        init: How the kernel starts; see `kernel_initializer`.
        epsilon: Added to the variance by the norm.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(n, rows, columns, d)`, even numbers of rows and columns.
    Output shape: `(n, rows / 2, columns / 2, 2 * d)`.

    Raises:
        ValueError: If rows or columns are odd.
    """

    def __init__(
        self, init: str = "normal", epsilon: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.init, self.epsilon = init, epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = input_shape[-1] or 0
        self.norm = LayerNorm(self.epsilon, name="norm", dtype=self.dtype_policy)
        self.reduce = keras.layers.Dense(
            2 * width,
            use_bias=False,
            kernel_initializer=kernel_initializer(self.init),
            name="reduce",
            dtype=self.dtype_policy,
        )
        four = (None, None, None, 4 * width)
        self.norm.build(four)
        self.reduce.build(four)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        _, rows, columns, width = x.shape
        if rows % 2 or columns % 2:
            raise ValueError(
                f"{rows} x {columns} tokens cannot be merged two by two; give images "
                "of another size, or fewer stages."
            )
        x = tf.reshape(x, [-1, rows // 2, 2, columns // 2, 2, width])
        # Of the four the rows vary first: the reference's order.
        x = tf.transpose(x, [0, 1, 3, 4, 2, 5])
        x = tf.reshape(x, [-1, rows // 2, columns // 2, 4 * width])
        return self.reduce(self.norm(x, training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "init": self.init, "epsilon": self.epsilon}
