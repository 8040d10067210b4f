"""Regularisers that spread features."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows, streamed


def koleo(features: tf.Tensor, eps: float = 1e-8) -> tf.Tensor:
    """Pushes each row from its nearest neighbour (Kozachenko-Leonenko; DINOv2).

    Args:
        features: `(n, d)`; normalised here.
        eps: Added to differences and distances, not negative; with 0 equal rows cost
            infinitely much.

    Returns:
        Scalar: minus the mean logarithm of the distance of the `n` local rows to
        their neighbours in the global batch.

    Raises:
        ValueError: If there are not 2 dimensions, `eps` is negative or the global
            batch has 1 row.
    """
    checks.not_negative(eps=eps)
    checks.rank(2, features=features)
    _rows.at_least(2, features)
    x = _rows.unit(features)
    everyone = distribute.gather(x)
    near = tf.matmul(*map(tf.stop_gradient, (x, everyone)), transpose_b=True)
    # So that a row is not its own neighbour.
    index = tf.argmax(streamed.exclude(near, _rows.numbers(x)), axis=-1)
    difference = x - tf.gather(everyone, index) + eps
    return -tf.reduce_mean(tf.math.log(tf.norm(difference, axis=-1) + eps))
