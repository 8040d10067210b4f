"""Losses over all pairs of a global batch."""

import tensorflow as tf

from keras_ssl.core import checks, distribute

# Below it a root's slope is taken for 0: at 0 it has none.
_TINY = 1e-12


def dissimilar_pairs(
    z1: tf.Tensor, z2: tf.Tensor, related: tf.Tensor, margin: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Drives all unrelated pairs a margin apart (DrLIM, eq. 4 with Y = 1).

    `max(0, margin - D)^2 / 2` for each pair, `D` being the distance of the vectors as
    they are. Differences are formed one by one, which is exact where vectors are near
    each other and takes `n * replicas * n * d` numbers of memory.

    Args:
        z1: `(n, d)` vectors.
        z2: `(n, d)` vectors; all replicas' are compared with `z1`.
        related: `(n, replicas * n)` bool: pairs that are left out.
        margin: Distance from which on pairs are left alone, positive.

    Returns:
        Two scalars whose means over replicas are means over the unrelated pairs of the
        global batch: the loss, and the distance. Both are 0 where all are related.

    Raises:
        ValueError: If the margin is not positive or the shapes differ.
    """
    checks.positive(margin=margin)
    checks.rank(2, z1=z1, related=related)
    checks.same_shape(z1=z1, z2=z2)
    z1, z2 = tf.cast(z1, tf.float32), tf.cast(z2, tf.float32)
    candidates = distribute.gather(z2)
    difference = tf.expand_dims(z1, 1) - tf.expand_dims(candidates, 0)
    squared = tf.reduce_sum(tf.square(difference), axis=-1)
    checks.same_shape(related=related, distances=squared)
    distance = tf.sqrt(tf.maximum(squared, _TINY))
    counts = tf.cast(tf.math.logical_not(related), tf.float32)
    # Replicas may differ in how many pairs they leave out.
    number = tf.maximum(distribute.mean(tf.reduce_sum(counts)), _TINY)
    loss = tf.square(tf.nn.relu(margin - distance)) / 2.0
    return (
        tf.reduce_sum(counts * loss) / number,
        tf.reduce_sum(counts * distance) / number,
    )
