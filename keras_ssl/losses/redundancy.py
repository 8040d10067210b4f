"""Losses over correlations between features."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows

# Under the root of a variance, as in facebookresearch/vicreg main_vicreg.py.
_VARIANCE_EPSILON = 1e-4


def barlow_twins(
    z1: tf.Tensor, z2: tf.Tensor, lambd: float = 0.0051, eps: float = 1e-5
) -> tf.Tensor:
    """Makes the cross-correlation of two views the identity (Barlow Twins, eq. 1).

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        lambd: Weight of the off-diagonal terms, not negative.
        eps: Added to the variances, not negative; 1e-5 in the reference's batch norm.

    Returns:
        Scalar: the loss of the global batch, the same on every replica.

    Raises:
        ValueError: If the shapes differ or a number is negative.
    """
    return correlation_loss(cross_correlation(z1, z2, eps), lambd)


def cross_correlation(z1: tf.Tensor, z2: tf.Tensor, eps: float = 1e-5) -> tf.Tensor:
    """Correlations of each feature of one view with each of the other.

    Args:
        z1: `(n, d)` projections of the first view.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        eps: Added to the (biased) variances, not negative.

    Returns:
        `(d, d)` float32 over the global batch, with gradient.

    Raises:
        ValueError: If the shapes differ or `eps` is negative.
    """
    checks.not_negative(eps=eps)
    both = _centred_views(z1, z2)
    variance = distribute.mean(tf.reduce_mean(tf.square(both), axis=0))
    both *= tf.math.rsqrt(variance + eps)
    products = tf.matmul(both[:, 0], both[:, 1], transpose_a=True)
    return distribute.total(products) / _rows.count(both)


def correlation_loss(correlation: tf.Tensor, lambd: float = 0.0051) -> tf.Tensor:
    """`barlow_twins` for a correlation that is there.

    Args:
        correlation: `(d, d)`, as from `cross_correlation`.
        lambd: Weight of the off-diagonal terms, not negative.

    Returns:
        Scalar.

    Raises:
        ValueError: If `lambd` is negative.
    """
    checks.not_negative(lambd=lambd)
    diagonal = tf.linalg.diag_part(correlation)
    on = tf.reduce_sum(tf.math.squared_difference(diagonal, 1.0))
    return on + lambd * _off_diagonal(correlation)


def correlation_means(correlation: tf.Tensor) -> dict[str, tf.Tensor]:
    """How far a correlation is from the identity.

    Args:
        correlation: `(d, d)`, as from `cross_correlation`.

    Returns:
        Scalars without gradient: `diagonal`, the mean of the diagonal, and
        `off_diagonal`, that of the others' absolute values (0 if `d` is 1).
    """
    correlation = tf.stop_gradient(correlation)
    diagonal = tf.linalg.diag_part(correlation)
    width = tf.cast(tf.shape(diagonal)[0], tf.float32)
    others = tf.reduce_sum(tf.abs(_without_diagonal(correlation)))
    return {
        "diagonal": tf.reduce_mean(diagonal),
        "off_diagonal": tf.math.divide_no_nan(others, width * (width - 1.0)),
    }


def vicreg(
    z1: tf.Tensor,
    z2: tf.Tensor,
    sim_coeff: float = 25.0,
    std_coeff: float = 25.0,
    cov_coeff: float = 1.0,
) -> dict[str, tf.Tensor]:
    """Invariance, variance and covariance of two views (VICReg, eq. 6).

    As in facebookresearch/vicreg main_vicreg.py: the invariance is a mean over
    features where eq. 5 has a sum, and the variance is half of the paper's.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        sim_coeff: Weight of the invariance, not negative.
        std_coeff: Weight of the variance, not negative.
        cov_coeff: Weight of the covariance, not negative.

    Returns:
        Scalars `loss`, the weighted sum; `invariance`, the mean over the local rows;
        `variance` (in [0, 1], 0 once all deviations reach 1) and `covariance` of the
        global batch.

    Raises:
        ValueError: If the shapes differ, a weight is negative or the global batch
            has 1 row.
    """
    checks.not_negative(sim_coeff=sim_coeff, std_coeff=std_coeff, cov_coeff=cov_coeff)
    both = _centred_views(z1, z2)
    _rows.at_least(2, both)
    freedom = _rows.count(both) - 1.0
    products = tf.einsum("nvi,nvj->vij", both, both)
    covariances = distribute.total(products) / freedom
    deviations = tf.sqrt(tf.linalg.diag_part(covariances) + _VARIANCE_EPSILON)
    z1, z2 = tf.cast(z1, tf.float32), tf.cast(z2, tf.float32)
    invariance = tf.reduce_mean(tf.math.squared_difference(z1, z2))
    # The mean over both views is the half of each that the reference adds up.
    variance = tf.reduce_mean(tf.nn.relu(1.0 - deviations))
    width = tf.cast(tf.shape(z1)[1], tf.float32)
    covariance = _off_diagonal(covariances) / width
    loss = sim_coeff * invariance + std_coeff * variance + cov_coeff * covariance
    return {
        "loss": loss,
        "invariance": invariance,
        "variance": variance,
        "covariance": covariance,
    }


def _centred_views(z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
    """`(n, 2, d)` float32: each view less its mean over the global batch."""
    checks.rank(2, z1=z1)
    checks.same_shape(z1=z1, z2=z2)
    # One collective for both views: they cost latency more than bytes.
    return _rows.centred(tf.cast(tf.stack([z1, z2], axis=1), tf.float32))


def _without_diagonal(matrices: tf.Tensor) -> tf.Tensor:
    return tf.linalg.set_diag(matrices, tf.zeros(tf.shape(matrices)[:-1]))


def _off_diagonal(matrices: tf.Tensor) -> tf.Tensor:
    """Sum of the squares off the diagonals of `(..., d, d)`."""
    return tf.reduce_sum(tf.square(_without_diagonal(matrices)))
