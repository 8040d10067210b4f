"""Layer normalisation: Ba et al. 2016, https://arxiv.org/abs/1607.06450."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute


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
        # Tensors: outside of replicas, where pictures are drawn, a mirrored variable is
        # one that the gradient does not know.
        gamma, beta = (tf.convert_to_tensor(v) for v in (self.gamma, self.beta))
        return norm(x, gamma, beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "zero_gamma": self.zero_gamma,
        }


def _normed(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    products: bool = False,
) -> tf.Tensor:
    return tf.cast(_parts(x, epsilon, products)[0] * gamma + beta, x.dtype)


def _slopes(
    x: tf.Tensor,
    gamma: tf.Tensor,
    upstream: tf.Tensor,
    epsilon: float,
    products: bool,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gradients of `x`, `gamma` and `beta`."""
    normed, inverse = _parts(x, epsilon, products)
    upstream = tf.cast(upstream, tf.float32)
    inner = upstream * gamma
    mean, project = _mean(inner, products), _mean(inner * normed, products)
    slope = tf.cast(inverse * (inner - mean - normed * project), x.dtype)
    return slope, _sum_rows(upstream * normed, products), _sum_rows(upstream, products)


def _parts(x: tf.Tensor, epsilon: float, products: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalised `x` and the inverse of its deviation, float32."""
    wide = tf.cast(x, tf.float32)
    # Centred before it is squared: no difference of large numbers.
    centred = wide - _mean(wide, products)
    inverse = tf.math.rsqrt(_mean(tf.square(centred), products) + epsilon)
    return centred * inverse, inverse


# XLA on a CPU adds a row up one by one, but multiplies at once: there sums are products
# with ones. Accelerators round the factors of products, so that they must not be.


def _mean(x: tf.Tensor, products: bool) -> tf.Tensor:
    """Mean of the last axis, which stays as 1."""
    if not products:
        return tf.reduce_mean(x, axis=-1, keepdims=True)
    width = x.shape[-1]
    means = tf.linalg.matvec(tf.reshape(x, [-1, width]), tf.fill([width], 1.0 / width))
    return tf.reshape(means, tf.concat([tf.shape(x)[:-1], [1]], axis=0))


def _sum_rows(x: tf.Tensor, products: bool) -> tf.Tensor:
    rows = tf.reshape(x, [-1, x.shape[-1]])
    if not products:
        return tf.reduce_sum(rows, axis=0)
    return tf.linalg.matvec(rows, tf.ones_like(rows[:, 0]), transpose_a=True)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return tf.function(function, jit_compile=True, autograph=False)


_compiled_normed, _compiled_slopes = _compiled(_normed), _compiled(_slopes)


def _trained(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tf.Tensor:
    products = distribute.device_kind() == "CPU"

    @tf.custom_gradient
    def normed(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> Any:
        y = _compiled_normed(x, gamma, beta, epsilon, products)
        return y, lambda upstream: _compiled_slopes(
            x, gamma, upstream, epsilon, products
        )

    return normed(x, gamma, beta)
