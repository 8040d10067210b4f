"""Balanced assignments by optimal transport: https://arxiv.org/abs/2006.09882."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows


def sinkhorn(
    scores: tf.Tensor,
    epsilon: float = 0.05,
    num_iters: int = 3,
    shared: tf.Tensor | None = None,
) -> tf.Tensor:
    """Soft assignments of samples to prototypes that are used about equally.

    Sinkhorn-Knopp: `exp(scores / epsilon)` is scaled `num_iters` times, each time the
    prototypes first and the samples last. Computed on logarithms, so that no score
    over- or underflows.

    Args:
        scores: `(..., n, k)` of samples with prototypes; leading axes are solved
            apart.
        epsilon: Positive temperature. Lower is sharper.
        num_iters: How often to scale, at least 1.
        shared: `(..., m, k)` scores of samples that all replicas hold, such as a
            queue's; they are assigned too, count once, and are not returned.

    Returns:
        `(..., n, k)` float32, the local rows of the solution for the global batch,
        without gradient; each row sums to 1.

    Raises:
        ValueError: If the shapes do not fit or a number is not positive.
    """
    checks.positive(epsilon=epsilon, num_iters=num_iters)
    logits = _rows.constant(scores) / epsilon
    if shared is None:
        for _ in range(num_iters):
            logits = tf.nn.log_softmax(logits - _mass(logits))
        return tf.exp(logits)
    checks.same_width(scores=scores, shared=shared)
    rest = _rows.constant(shared) / epsilon
    for _ in range(num_iters):
        mass = tf.stack([_mass(logits), tf.reduce_logsumexp(rest, -2, keepdims=True)])
        mass = tf.reduce_logsumexp(mass, axis=0)
        logits, rest = (tf.nn.log_softmax(x - mass) for x in (logits, rest))
    return tf.exp(logits)


def prototype_usage(assignments: tf.Tensor) -> tf.Tensor:
    """Share of prototypes that some sample of the global batch prefers to all others.

    Args:
        assignments: `(n, k)` assignments or scores.

    Returns:
        Scalar in [0, 1], without gradient; at most `replicas * n / k`.

    Raises:
        ValueError: If there are not 2 dimensions.
    """
    checks.rank(2, assignments=assignments)
    k = tf.shape(assignments)[1]
    counts = tf.reduce_sum(tf.one_hot(tf.argmax(assignments, axis=1), k), axis=0)
    return tf.reduce_mean(tf.cast(distribute.total(counts) > 0, tf.float32))


def _mass(logits: tf.Tensor) -> tf.Tensor:
    """`(..., 1, k)`: logarithm of each prototype's sum over the global batch."""
    local = tf.reduce_logsumexp(logits, axis=-2, keepdims=True)
    return tf.reduce_logsumexp(distribute.gather(local[None]), axis=0)
