"""How features lie on the sphere: Wang and Isola 2020, https://arxiv.org/abs/2005.10242."""

import tensorflow as tf


def alignment(x: tf.Tensor, y: tf.Tensor, alpha: float = 2.0) -> tf.Tensor:
    """Mean distance of the features of two views of an image, to a power.

    Section 4.1.1. Normalise the features first; this function does not.

    Args:
        x: `(n, d)` features of the first views.
        y: `(n, d)` features of the second views, row by row of the same images.
        alpha: Power of the distance, positive.

    Returns:
        Scalar, 0 where views agree; lower is better.
    """
    x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
    squares = tf.reduce_sum(tf.math.squared_difference(x, y), axis=-1)
    if alpha == 2:
        return tf.reduce_mean(squares)
    # The root of 0 has no finite gradient.
    apart = tf.where(squares > 0, squares, tf.ones_like(squares))
    powers = tf.where(squares > 0, apart ** (alpha / 2), tf.zeros_like(squares))
    return tf.reduce_mean(powers)


def uniformity(x: tf.Tensor, t: float = 2.0) -> tf.Tensor:
    """Logarithm of the mean Gaussian potential over all pairs of different images.

    Section 4.1.2. Normalise the features first; this function does not.

    Args:
        x: `(n, d)` features, at least two.
        t: Sharpness of the Gaussian, positive.

    Returns:
        Scalar, at most 0: 0 is collapse, lower is better.

    Raises:
        ValueError: If there are fewer than two features.
    """
    rows = x.shape[0]
    if rows is not None and rows < 2:
        raise ValueError(f"uniformity needs at least two features, got {x.shape}.")
    x = tf.cast(x, tf.float32)
    norms = tf.reduce_sum(tf.square(x), axis=-1)
    squares = norms[:, None] + norms[None] - 2.0 * tf.matmul(x, x, transpose_b=True)
    # Pairs count twice in numerator and denominator alike.
    count = tf.shape(x)[0]
    others = tf.where(tf.eye(count, dtype=tf.bool), -float("inf"), -t * squares)
    pairs = tf.cast(count * (count - 1), x.dtype)
    return tf.reduce_logsumexp(others) - tf.math.log(pairs)
