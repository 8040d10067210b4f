"""Distances between whitened views: https://arxiv.org/abs/2007.06346."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows


def wmse(
    z1: tf.Tensor, z2: tf.Tensor, eps: float = 0.0, normalize: bool = True
) -> tf.Tensor:
    """Distance of two views that are whitened apart (W-MSE, eq. 3 to 7).

    Mean and covariance are those of the global batch: for smaller whitening batches,
    cut the batch and take the mean. The inverse of the lower Cholesky factor whitens,
    as in htdt/self-supervised methods/whitening.py.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        eps: Share in [0, 1] of the identity in the covariance. With 0 the global
            batch must have more rows than features, better twice as many.
        normalize: Whether the loss is `2 - 2 cos`, else the mean squared difference.

    Returns:
        Scalar: the mean over the `n` local rows; 2 is chance.

    Raises:
        ValueError: If the shapes differ, `eps` is out of range or the covariance is
            singular for lack of rows.
    """
    checks.share(eps=eps)
    checks.rank(2, z1=z1)
    checks.same_shape(z1=z1, z2=z2)
    both = _rows.centred(tf.cast(tf.stack([z1, z2], axis=1), tf.float32))
    if eps == 0 and z1.shape[1] is not None:
        _rows.at_least(z1.shape[1] + 1, both)
    first, second = tf.unstack(_whitened(both, eps))
    if normalize:
        first, second = _rows.unit(first), _rows.unit(second)
    distances = tf.math.squared_difference(first, second)
    if normalize:
        return tf.reduce_mean(tf.reduce_sum(distances, axis=-1))
    return tf.reduce_mean(distances)


def _whitened(centred: tf.Tensor, eps: float) -> tf.Tensor:
    """`(2, n, d)`: two centred views, `(n, 2, d)`, with covariance 1."""
    products = distribute.total(tf.einsum("nvi,nvj->vij", centred, centred))
    covariances = products / tf.maximum(_rows.count(centred) - 1.0, 1.0)
    width = tf.shape(centred)[-1]
    covariances = (1.0 - eps) * covariances + eps * tf.eye(width)
    columns = tf.transpose(centred, [1, 2, 0])
    factors = tf.linalg.cholesky(covariances)
    whitened = tf.linalg.triangular_solve(factors, columns, lower=True)
    return tf.linalg.matrix_transpose(whitened)
