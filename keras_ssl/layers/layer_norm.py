"""Layer normalisation: Ba et al. 2016, https://arxiv.org/abs/1607.06450."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_ssl")
class LayerNorm(keras.layers.Layer):
    """Normalises the channels of each token.

    In float32 whatever the compute dtype. In training, both directions are compiled
    into a pass each, which keeps nothing but its input; a served model does without
    XLA.

    Args:
        epsilon: Added to the variance; timm's by default, where Keras has 1e-3.
        zero_gamma: Whether the scale starts at 0.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(..., d)`.
    Output shape: the same.
    """

    def __init__(
        self, epsilon: float = 1e-6, zero_gamma: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if epsilon <= 0.0:
            raise ValueError(f"epsilon must be positive, got {epsilon}.")
        self.epsilon, self.zero_gamma = epsilon, zero_gamma

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, start: str) -> keras.Variable:
            return self.add_weight(
                shape=(input_shape[-1],), name=name, initializer=start, autocast=False
            )

        self.gamma = weight("gamma", "zeros" if self.zero_gamma else "ones")
        self.beta = weight("beta", "zeros")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        norm = _trained if training else _normed
        return norm(x, self.gamma.value, self.beta.value, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "zero_gamma": self.zero_gamma,
        }


def _parts(x: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalised `x` and the inverse of its deviation, float32."""
    wide = tf.cast(x, tf.float32)
    # Centred before it is squared: no difference of large numbers.
    centred = wide - _mean(wide)
    inverse = tf.math.rsqrt(_mean(tf.square(centred)) + epsilon)
    return centred * inverse, inverse


def _normed(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tf.Tensor:
    return tf.cast(_parts(x, epsilon)[0] * gamma + beta, x.dtype)


def _slopes(
    x: tf.Tensor, gamma: tf.Tensor, upstream: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gradients of `x`, `gamma` and `beta`."""
    normed, inverse = _parts(x, epsilon)
    upstream = tf.cast(upstream, tf.float32)
    inner = upstream * gamma
    slope = inverse * (inner - _mean(inner) - normed * _mean(inner * normed))
    return tf.cast(slope, x.dtype), _sum_rows(upstream * normed), _sum_rows(upstream)


# Sums are products with ones: XLA adds a row up one by one, but multiplies at once.


def _mean(x: tf.Tensor) -> tf.Tensor:
    """Mean of the last axis, which stays as 1."""
    width = x.shape[-1]
    means = tf.linalg.matvec(tf.reshape(x, [-1, width]), tf.fill([width], 1.0 / width))
    return tf.reshape(means, tf.concat([tf.shape(x)[:-1], [1]], axis=0))


def _sum_rows(x: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.linalg.matvec(rows, tf.ones_like(rows[:, 0]), transpose_a=True)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return tf.function(function, jit_compile=True, autograph=False)


_compiled_normed, _compiled_slopes = _compiled(_normed), _compiled(_slopes)


def _trained(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tf.Tensor:
    @tf.custom_gradient
    def normed(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> Any:
        return _compiled_normed(
            x, gamma, beta, epsilon
        ), lambda upstream: _compiled_slopes(x, gamma, upstream, epsilon)

    return normed(x, gamma, beta)
