"""Losses that predict another branch's features."""

import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.losses import _rows


def byol_regression(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Squared distance of normalised vectors, `2 - 2 cos` (BYOL, eq. 2).

    One direction: the method's loss is the sum over both.

    Args:
        prediction: `(n, d)` predictions of the online branch.
        target: `(n, d)` projections of the target branch; no gradient flows to them.

    Returns:
        Scalar in [0, 4]: the mean over the `n` local rows.

    Raises:
        ValueError: If the shapes differ.
    """
    checks.same_shape(prediction=prediction, target=target)
    # l2_normalize's own 1e-12 is also that of
    # google-deepmind/deepmind-research byol/utils/helpers.py.
    p, t = _rows.unit(prediction), _rows.unit(tf.stop_gradient(target))
    return tf.reduce_mean(tf.reduce_sum(tf.math.squared_difference(p, t), axis=-1))


def simsiam(p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
    """Negative cosine of each view's prediction with the other (SimSiam, eq. 2).

    Args:
        p1: `(n, d)` predictions for the first view.
        p2: `(n, d)` predictions for the second.
        z1: `(n, d)` projections of the first view; no gradient flows to them.
        z2: `(n, d)` projections of the second, likewise.

    Returns:
        Scalar in [-1, 1]: the mean over both directions and the `n` local rows.

    Raises:
        ValueError: If the shapes differ.
    """
    checks.same_shape(p1=p1, p2=p2, z1=z1, z2=z2)
    predictions = _rows.unit(tf.stack([p1, p2]))
    targets = _rows.unit(tf.stop_gradient(tf.stack([z2, z1])))
    return -tf.reduce_mean(tf.reduce_sum(predictions * targets, axis=-1))
