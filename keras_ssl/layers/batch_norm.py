"""Batch normalisation: fused on one replica, over all replicas under a strategy.

Keras 3's own layer is not fused in training, which costs a small ResNet on a CPU
more than a third of its step.
"""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute


@keras.saving.register_keras_serializable("keras_ssl")
class BatchNorm(keras.layers.Layer):
    """Normalises each channel over the global batch (Ioffe and Szegedy 2015).

    Statistics are float32 whatever the compute dtype. With several replicas the
    mean and then the variance around the common mean are averaged over them: two
    small collectives, and no difference of large numbers. The moving variance is
    the biased one on any number of replicas.

    Args:
        momentum: Share of the moving statistics kept at each step, in [0, 1).
        epsilon: Added to the variance.
        center: Whether to add a learned `beta`.
        scale: Whether to multiply by a learned `gamma`.
        zero_gamma: Whether `gamma` starts at 0, as in the last norm of a residual
            branch (Goyal et al. 2017).

    Input shape: `(n, ..., c)`.
    Output shape: the same.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        zero_gamma: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
        if epsilon <= 0.0:
            raise ValueError(f"epsilon must be positive, got {epsilon}.")
        self.momentum, self.epsilon = momentum, epsilon
        self.center, self.scale, self.zero_gamma = center, scale, zero_gamma

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1],)

        def weight(name: str, value: str, trainable: bool) -> keras.Variable:
            return self.add_weight(
                shape=shape,
                name=name,
                initializer=value,
                trainable=trainable,
                autocast=False,
                # Each replica writes its own copy: what all have averaged is the same
                # on each, and need not be sent again.
                aggregation="none",
            )

        gamma = "zeros" if self.zero_gamma else "ones"
        self.gamma = weight("gamma", gamma, True) if self.scale else None
        self.beta = weight("beta", "zeros", True) if self.center else None
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        channels = inputs.shape[-1]
        gamma = tf.ones([channels]) if self.gamma is None else self.gamma.value
        beta = tf.zeros([channels]) if self.beta is None else self.beta.value
        # The fused kernels take images only.
        x = inputs if len(inputs.shape) == 4 else _as_image(inputs)
        if not training:
            y = self._normalize(x, gamma, beta, self.moving_mean, self.moving_variance)
        elif distribute.replicas() == 1:
            y = self._fused(x, gamma, beta)
        else:
            y = self._cross_replica(x, gamma, beta)
        return tf.reshape(y, tf.shape(inputs)) if x is not inputs else y

    def _fused(self, x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        mean, variance = self.moving_mean.value, self.moving_variance.value
        keeps = self.momentum > 0.0
        out = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(gamma),
            offset=tf.convert_to_tensor(beta),
            # The kernel moves the statistics too: many small operations less. It wants
            # none where nothing is kept.
            mean=tf.convert_to_tensor(mean) if keeps else tf.zeros([0]),
            variance=tf.convert_to_tensor(variance) if keeps else tf.zeros([0]),
            epsilon=self.epsilon,
            exponential_avg_factor=1.0 - self.momentum,
            is_training=True,
        )
        # It mixes in the unbiased variance, but normalises with the biased.
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
        biased = 1.0 - 1.0 / count
        self.moving_mean.assign(out.batch_mean)
        self.moving_variance.assign(
            out.batch_variance * biased + variance * ((1.0 - biased) * self.momentum)
        )
        return out.y

    def _cross_replica(
        self, x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tf.Tensor:
        wide = tf.cast(x, tf.float32)
        axes = list(range(len(x.shape) - 1))
        mean = distribute.mean(tf.reduce_mean(wide, axes))
        variance = distribute.mean(
            tf.reduce_mean(tf.math.squared_difference(wide, mean), axes)
        )
        self._remember(mean, variance)
        return self._normalize(x, gamma, beta, mean, variance)

    def _normalize(
        self, x: tf.Tensor, gamma: Any, beta: Any, mean: Any, variance: Any
    ) -> tf.Tensor:
        factor = gamma * tf.math.rsqrt(variance + self.epsilon)
        # Centred first: `x * factor + shift` would cancel in nearly constant channels.
        return tf.cast((tf.cast(x, tf.float32) - mean) * factor + beta, x.dtype)

    def _remember(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        share = 1.0 - self.momentum
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving + share * (tf.stop_gradient(now) - moving))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "zero_gamma": self.zero_gamma,
        }


def _as_image(x: tf.Tensor) -> tf.Tensor:
    """`(n, ..., c)` to `(rows, 1, 1, c)`."""
    return tf.reshape(x, [-1, 1, 1, x.shape[-1]])
