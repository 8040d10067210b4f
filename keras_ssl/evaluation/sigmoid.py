"""Logistic regression of each class for itself, by L-BFGS: images of several labels."""

import numpy as np
import tensorflow as tf

from keras_ssl.evaluation import lbfgs


def fit_sigmoids(
    x: np.ndarray,
    signs: np.ndarray,
    l2: float,
    max_iterations: int = 100,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Minimises the mean over images of `sum log(1 + exp(-sign * (w x + b)))`.

    To which `l2 / 2 * |weights|^2` is added; biases are not penalised. The sum is over
    classes.

    Args:
        x: `(n, d)` float32.
        signs: `(n, c)`: 1, -1, or 0 for what does not count.
        l2: Strength of the penalty, the same for all classes.
        max_iterations: Bound on the iterations.
        start: A solution to start from; zeros if None.

    Returns:
        `(d + 1, c)` float32 weights, the biases in the last row.
    """
    shape = (x.shape[1] + 1, signs.shape[1])
    given = (tf.constant(x), tf.constant(signs, tf.float32))
    penalty = tf.constant(l2, tf.float32)
    rates = np.mean(signs > 0, axis=0)
    return lbfgs.minimize(
        lambda weights: _loss_and_gradient(weights, *given, penalty),
        shape,
        lbfgs.Condition(x, l2, float(np.mean(rates * (1 - rates)))),
        start,
        max_iterations,
    )


@tf.function(autograph=False, reduce_retracing=True)
def _loss_and_gradient(
    weights: tf.Tensor, x: tf.Tensor, signs: tf.Tensor, l2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The penalised loss in float64, and its gradient."""
    kernel, bias = weights[:-1], weights[-1]
    margins = signs * (tf.matmul(x, kernel) + bias)
    losses = tf.where(signs != 0, tf.nn.softplus(-margins), 0.0)
    count = tf.cast(tf.shape(x)[0], tf.float32)
    # Summed in float64: the line search compares values that hardly differ.
    loss = tf.reduce_sum(tf.cast(losses, tf.float64)) / tf.cast(count, tf.float64)
    loss += tf.cast(0.5 * l2 * tf.reduce_sum(kernel**2), tf.float64)
    error = -signs * tf.nn.sigmoid(-margins) / count
    slope = tf.matmul(x, error, transpose_a=True) + l2 * kernel
    return loss, tf.concat([slope, tf.reduce_sum(error, 0)[None]], axis=0)
