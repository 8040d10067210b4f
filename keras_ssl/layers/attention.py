"""Multi-head self-attention: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.initializers import kernel_initializer


@keras.saving.register_keras_serializable("keras_ssl")
class Attention(keras.layers.Layer):
    """Every token looks at every token, in several heads.

    One dense layer makes queries, keys and values, in this order and head by head,
    as in timm. The softmax is float32 whatever the compute dtype.

    Args:
        heads: Number of heads; divides the width.
        qkv_bias: Whether queries, keys and values have biases.
        init: How kernels start; see `kernel_initializer`.

    Input shape: `(n, l, d)`.
    Output shape: the same.
    """

    def __init__(
        self, heads: int, qkv_bias: bool = True, init: str = "xavier", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.qkv_bias, self.init = heads, qkv_bias, init

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = input_shape[-1] or 0
        if self.heads < 1 or width % self.heads:
            raise ValueError(
                f"{self.heads} heads cannot share a width of {width} equally; take "
                "a number of heads that divides it."
            )
        self.qkv = keras.layers.Dense(
            3 * width,
            use_bias=self.qkv_bias,
            kernel_initializer=kernel_initializer(self.init, parts=3),
            name="qkv",
            dtype=self.dtype_policy,
        )
        self.out = keras.layers.Dense(
            width,
            kernel_initializer=kernel_initializer(self.init),
            name="out",
            dtype=self.dtype_policy,
        )
        self.qkv.build(input_shape)
        self.out.build(input_shape)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        q, k, v = self._split(x)
        mixed = tf.matmul(tf.cast(self._softmax(q, k), v.dtype), v)
        mixed = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), tf.shape(x))
        return self.out(tf.ensure_shape(mixed, x.shape))

    def weights(self, x: tf.Tensor) -> tf.Tensor:
        """Returns `(n, heads, l, l)` float32: how much each token takes of each."""
        q, k, _ = self._split(x)
        return self._softmax(q, k)

    def _split(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Queries (scaled), keys and values, each `(n, heads, l, d / heads)`."""
        width = x.shape[-1]
        each = width // self.heads
        shape = tf.shape(x)
        qkv = tf.reshape(self.qkv(x), [shape[0], shape[1], 3, self.heads, each])
        q, k, v = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        return [q * each**-0.5, k, v]

    @staticmethod
    def _softmax(q: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(q, k, transpose_b=True)
        return tf.nn.softmax(tf.cast(scores, tf.float32))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "qkv_bias": self.qkv_bias,
            "init": self.init,
        }
