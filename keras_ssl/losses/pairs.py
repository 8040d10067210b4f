"""Losses over all pairs of a global batch."""

from typing import Any

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
    each other, feature by feature, so that `n * replicas * n` of them are held.

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
    squared = _squared_distances(z1, candidates)
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


@tf.custom_gradient
def _squared_distances(rows: tf.Tensor, candidates: tf.Tensor) -> Any:
    """`(n, m)` squared distances of `(n, d)` and `(m, d)`, exact for near vectors."""
    # What follows is no tape's business: it would keep every feature's differences.
    columns = [tf.stop_gradient(tf.transpose(x)) for x in (rows, candidates)]
    width = tf.shape(columns[0])[0]

    def differences(feature: tf.Tensor) -> tf.Tensor:
        ours, theirs = (x[feature] for x in columns)
        return ours[:, None] - theirs[None]

    def add(feature: tf.Tensor, total: tf.Tensor) -> Any:
        return feature + 1, total + tf.square(differences(feature))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def one(feature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            slopes = 2.0 * upstream * differences(feature)
            return tf.reduce_sum(slopes, 1), -tf.reduce_sum(slopes, 0)

        features = tf.range(width)
        found = tf.map_fn(
            one, features, parallel_iterations=1, fn_output_signature=(tf.float32,) * 2
        )
        return tuple(tf.transpose(x) for x in found)

    sizes = [tf.shape(x)[0] for x in (rows, candidates)]
    _, squared = tf.while_loop(
        lambda feature, _: feature < width,
        add,
        (tf.constant(0), tf.zeros(sizes)),
        parallel_iterations=1,
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([rows.shape[0], candidates.shape[0]]),
        ),
    )
    return squared, gradient
