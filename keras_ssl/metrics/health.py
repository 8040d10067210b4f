"""Signs of collapse, from a sample of features."""

import tensorflow as tf

from keras_ssl.core import distribute


def feature_std(features: tf.Tensor) -> tf.Tensor:
    """Standard deviation of l2-normalised features, averaged over channels.

    About `1 / sqrt(d)` for healthy features; 0 when all images share one point
    (SimSiam, section 4.1, https://arxiv.org/abs/2011.10566).

    Args:
        features: `(n, d)`; inside a step, of each replica.

    Returns:
        Scalar over the rows of all replicas, times `sqrt(d)`, without gradient: 1 is
        healthy, 0 is collapse.
    """
    x = tf.math.l2_normalize(tf.cast(tf.stop_gradient(features), tf.float32), -1)
    mean = distribute.mean(tf.reduce_mean(x, axis=0))
    squares = tf.math.squared_difference(x, mean)
    variance = distribute.mean(tf.reduce_mean(squares, axis=0))
    width = tf.cast(tf.shape(x)[-1], tf.float32)
    return tf.reduce_mean(tf.sqrt(variance)) * tf.sqrt(width)


def rankme(embeddings: tf.Tensor, eps: float = 1e-7) -> tf.Tensor:
    """Effective rank: the exponential of the entropy of the singular values.

    RankMe, eq. 1 and 2 (https://arxiv.org/abs/2210.02885): not centred, singular
    values not squared, `eps` added after the division.

    Args:
        embeddings: `(n, d)`.
        eps: Added to each share.

    Returns:
        Scalar in [1, min(n, d)].
    """
    values = tf.linalg.svd(tf.cast(embeddings, tf.float32), compute_uv=False)
    shares = values / tf.reduce_sum(values) + eps
    return tf.exp(-tf.reduce_sum(shares * tf.math.log(shares)))
