"""Transformer blocks of vision: https://arxiv.org/abs/2010.11929."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.layers.attention import Attention
from keras_ssl.layers.drop_path import drop_path
from keras_ssl.layers.gelu import gelu
from keras_ssl.layers.initializers import kernel_initializer
from keras_ssl.layers.layer_norm import LayerNorm


@keras.saving.register_keras_serializable("keras_ssl")
class TransformerBlock(keras.layers.Layer):
    """Attention, then two dense layers with GELU, each normed before and added.

    Args:
        heads: Heads of the attention; divides the width.
        mlp_ratio: Inner width of the dense layers, in widths.
        qkv_bias: Whether queries, keys and values have biases; see `Attention`.
        drop_path: Share of the examples that skip a branch in training, in [0, 1).
        index: Number of the block in its network, for the draws of `drop_path`.
        init: How kernels start; see `kernel_initializer`.
        layer_scale: What the learned factors of each branch's channels start at
            (https://arxiv.org/abs/2103.17239); there are none if None.
        epsilon: Added to the variance by the norms.

    Input shape: `(n, l, d)`.
    Output shape: the same.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool | str = True,
        drop_path: float = 0.0,
        index: int = 0,
        init: str = "xavier",
        layer_scale: float | None = None,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        # Keras would round `bias` to the compute dtype.
        super().__init__(autocast=False, **kwargs)
        checks.positive(layer_scale=layer_scale)
        if not 0.0 <= drop_path < 1.0:
            raise ValueError(f"drop_path must be in [0, 1), got {drop_path}.")
        if not mlp_ratio > 0.0:
            raise ValueError(f"mlp_ratio must be positive, got {mlp_ratio}.")
        self.heads, self.mlp_ratio, self.qkv_bias = heads, mlp_ratio, qkv_bias
        self.drop_path, self.index, self.init = drop_path, index, init
        self.layer_scale, self.epsilon = layer_scale, epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = input_shape[-1] or 0
        inner = int(width * self.mlp_ratio)

        def part(kind: type, *args: Any, **options: Any) -> Any:
            return kind(*args, dtype=self.dtype_policy, **options)

        def dense(size: int, name: str, ends: int = 0) -> keras.layers.Dense:
            kernel = kernel_initializer(self.init, ends=ends)
            return part(keras.layers.Dense, size, kernel_initializer=kernel, name=name)

        number = self.index + 1
        self.norm1 = part(LayerNorm, self.epsilon, name="norm1")
        self.attention = part(
            Attention, self.heads, self.qkv_bias, self.init, number, name="attention"
        )
        self.norm2 = part(LayerNorm, self.epsilon, name="norm2")
        self.dense1 = dense(inner, "dense1")
        self.dense2 = dense(width, "dense2", number)
        for layer in (self.norm1, self.attention, self.norm2, self.dense1):
            layer.build(input_shape)
        self.dense2.build((*input_shape[:-1], inner))
        if self.layer_scale is not None:
            self.scales = [
                self.add_weight(
                    name=f"scale{number}",
                    shape=(width,),
                    initializer=keras.initializers.Constant(self.layer_scale),
                )
                for number in (1, 2)
            ]

    def call(
        self,
        x: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
        bias: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Maps tokens to tokens.

        Args:
            x: `(n, l, d)`.
            training: Whether `drop_path` drops.
            seeds: `(n, 2)` int32, one for each example, for `drop_path`.
            bias: Of the attention's scores; see `Attention.call`.
        """
        x = tf.cast(x, self.compute_dtype)
        mixed = self.mix(self.norm1(x, training=training), bias)
        x += self._branch(mixed, 0, training, seeds)
        inner = gelu(self.dense1(self.norm2(x, training=training)), training)
        return x + self._branch(self.dense2(inner), 1, training, seeds)

    def mix(self, x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """The attention's output for tokens that are normed."""
        return self.attention(x, bias=bias)

    def attention_probabilities(
        self, x: tf.Tensor, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the attention's `(n, heads, l, l)` float32 probabilities."""
        return self.attention.probabilities(self.norm1(x), bias)

    def _branch(
        self, branch: tf.Tensor, number: int, training: bool, seeds: tf.Tensor | None
    ) -> tf.Tensor:
        """A branch as it is added: scaled, and dropped for some examples."""
        if self.layer_scale is not None:
            scale = tf.convert_to_tensor(self.scales[number])
            branch *= tf.cast(scale, branch.dtype)
        if not training or not self.drop_path:
            return branch
        if seeds is None:
            raise ValueError(
                f"drop_path={self.drop_path} needs a seed for each example in "
                "training: give seeds=batch['seed'], or set drop_path to 0."
            )
        return drop_path(branch, self.drop_path, seeds, 2 * self.index + number)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "qkv_bias": self.qkv_bias,
            "drop_path": self.drop_path,
            "index": self.index,
            "init": self.init,
            "layer_scale": self.layer_scale,
            "epsilon": self.epsilon,
        }
