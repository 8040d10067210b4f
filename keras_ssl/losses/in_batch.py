"""Losses that find a row's partner among the global batch."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows


def moco_v3(
    q1: tf.Tensor,
    q2: tf.Tensor,
    k1: tf.Tensor,
    k2: tf.Tensor,
    temperature: float = 1.0,
) -> tf.Tensor:
    """Contrasts each view's queries with the other's keys (MoCo v3, algorithm 1).

    Each direction is `2 * temperature` times a cross entropy, and both are summed:
    `4 * temperature * log(replicas * n)` is chance.

    Args:
        q1: `(n, d)` predictions of the online branch for the first view.
        q2: `(n, d)` predictions for the second.
        k1: `(n, d)` projections of the target branch for the first view; no gradient
            flows to them.
        k2: `(n, d)` projections for the second, likewise.
        temperature: Positive divisor of the cosine logits. Lower is sharper.

    Returns:
        Scalar: the mean over the `n` local rows, each against the `replicas * n` keys
        of the other view.

    Raises:
        ValueError: If the shapes differ or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, q1=q1)
    checks.same_shape(q1=q1, q2=q2, k1=k1, k2=k2)
    # One gather for both views: collectives cost latency more than bytes.
    n, keys = tf.shape(q1)[0], tf.stop_gradient(tf.stack([k2, k1], axis=1))
    keys = distribute.gather(_rows.unit(keys))
    queries = _rows.unit(tf.stack([q1, q2]))
    logits = tf.einsum("vnd,mvd->vnm", queries, keys) / temperature
    labels = tf.broadcast_to(_rows.numbers(q1), [2, n])
    return 4.0 * temperature * _rows.matching(logits, labels)
