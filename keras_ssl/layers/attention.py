"""Multi-head self-attention: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.layers.initializers import kernel_initializer

QUERY_VALUE = "query_value"
QKV_BIASES = (True, False, QUERY_VALUE)


@keras.saving.register_keras_serializable("keras_ssl")
class Attention(keras.layers.Layer):
    """Every token looks at every token, in several heads.

    One dense layer makes queries, keys and values, in this order and head by head,
    as in timm. The softmax is float32 whatever the compute dtype.

    Args:
        heads: Number of heads; divides the width.
        qkv_bias: Whether queries, keys and values have biases; with `query_value`
            keys have none, as in BEiT (to the softmax it makes no difference).
        init: How kernels start; see `kernel_initializer`.
        block: Number of its block, from 1; see `kernel_initializer`.

    Input shape: `(n, l, d)`.
    Output shape: the same.
    """

    def __init__(
        self,
        heads: int,
        qkv_bias: bool | str = True,
        init: str = "xavier",
        block: int = 1,
        **kwargs: Any,
    ) -> None:
        # Keras would round `bias` to the compute dtype.
        super().__init__(autocast=False, **kwargs)
        checks.one_of(QKV_BIASES, qkv_bias=qkv_bias)
        self.heads, self.qkv_bias = heads, qkv_bias
        self.init, self.block = init, block

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = input_shape[-1] or 0
        if self.heads < 1 or width % self.heads:
            raise ValueError(
                f"{self.heads} heads cannot share a width of {width} equally; take "
                "a number of heads that divides it."
            )
        self.qkv = keras.layers.Dense(
            3 * width,
            use_bias=self.qkv_bias not in (False, QUERY_VALUE),
            kernel_initializer=kernel_initializer(self.init, parts=3),
            name="qkv",
            dtype=self.dtype_policy,
        )
        self.out = keras.layers.Dense(
            width,
            kernel_initializer=kernel_initializer(self.init, ends=self.block),
            name="out",
            dtype=self.dtype_policy,
        )
        self.qkv.build(input_shape)
        self.out.build(input_shape)
        if self.qkv_bias == QUERY_VALUE:
            self.query_bias, self.value_bias = (
                self.add_weight(name=name, shape=(width,), initializer="zeros")
                for name in ("query_bias", "value_bias")
            )

    def call(self, x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """Mixes the tokens of each row.

        Args:
            x: `(n, l, d)`.
            bias: `(g, heads or 1, l, l)` added to the scores; row `i` gets number
                `i % g`, and `n` is a multiple of `g`.
        """
        q, k, v = self._split(x)
        mixed = tf.matmul(tf.cast(self._softmax(q, k, bias), v.dtype), v)
        mixed = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), tf.shape(x))
        return self.out(tf.ensure_shape(mixed, x.shape))

    def probabilities(self, x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """Returns `(n, heads, l, l)` float32: how much each token takes of each."""
        q, k, _ = self._split(x)
        return self._softmax(q, k, bias)

    def _split(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Queries (scaled), keys and values, each `(n, heads, l, d / heads)`."""
        width = x.shape[-1]
        each = width // self.heads
        shape = tf.shape(x)
        qkv = self.qkv(x)
        if self.qkv_bias == QUERY_VALUE:
            query, value = (
                tf.cast(tf.convert_to_tensor(b), qkv.dtype)
                for b in (self.query_bias, self.value_bias)
            )
            qkv += tf.concat([query, tf.zeros_like(query), value], axis=0)
        qkv = tf.reshape(qkv, [shape[0], shape[1], 3, self.heads, each])
        q, k, v = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        return [q * each**-0.5, k, v]

    @staticmethod
    def _softmax(
        q: tf.Tensor, k: tf.Tensor, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        scores = tf.cast(tf.matmul(q, k, transpose_b=True), tf.float32)
        if bias is not None:
            shape = tf.shape(scores)
            groups = tf.reshape(scores, tf.concat([[-1, bias.shape[0]], shape[1:]], 0))
            scores = tf.reshape(groups + bias, shape)
        return tf.nn.softmax(scores)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "qkv_bias": self.qkv_bias,
            "init": self.init,
            "block": self.block,
        }
