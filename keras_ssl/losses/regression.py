"""Losses that predict another branch's features."""

import tensorflow as tf

# As google-deepmind/deepmind-research byol/utils/helpers.py l2_normalize.
_TINY = 1e-12


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
    if not prediction.shape.is_compatible_with(target.shape):
        raise ValueError(
            "prediction and target must have the same shape, got "
            f"{prediction.shape} and {target.shape}."
        )
    p = tf.math.l2_normalize(prediction, axis=-1, epsilon=_TINY)
    t = tf.math.l2_normalize(tf.stop_gradient(target), axis=-1, epsilon=_TINY)
    return tf.reduce_mean(tf.reduce_sum(tf.math.squared_difference(p, t), axis=-1))
