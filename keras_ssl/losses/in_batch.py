"""Losses that find a row's partner among the global batch."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows, streamed


def moco_v3(
    q1: tf.Tensor,
    q2: tf.Tensor,
    k1: tf.Tensor,
    k2: tf.Tensor,
    temperature: float = 1.0,
    chunk: int | None = None,
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
        chunk: Keys that the queries are compared with at a time, so that no more than
            `n * chunk` logits are held; None for all at once.

    Returns:
        Scalar: the mean over the `n` local rows, each against the `replicas * n` keys
        of the other view.

    Raises:
        ValueError: If the shapes differ or `temperature` or `chunk` is not positive.
    """
    return moco_v3_with_accuracy(q1, q2, k1, k2, temperature, chunk)["loss"]


def moco_v3_with_accuracy(
    q1: tf.Tensor,
    q2: tf.Tensor,
    k1: tf.Tensor,
    k2: tf.Tensor,
    temperature: float = 1.0,
    chunk: int | None = None,
) -> dict[str, tf.Tensor]:
    """`moco_v3`, and how often the first view's queries find their key.

    Args:
        q1: `(n, d)` predictions of the online branch for the first view.
        q2: `(n, d)` predictions for the second.
        k1: `(n, d)` projections of the target branch for the first view; no gradient
            flows to them.
        k2: `(n, d)` projections for the second, likewise.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        chunk: As for `moco_v3`.

    Returns:
        Scalars `loss` and `accuracy`: the share of the local rows of `q1` that are
        nearest to their key of the global batch's `k2`, without gradient.

    Raises:
        ValueError: If the shapes differ or `temperature` or `chunk` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, q1=q1)
    checks.same_shape(q1=q1, q2=q2, k1=k1, k2=k2)
    # One gather for both views: collectives cost latency more than bytes.
    keys = tf.stop_gradient(tf.stack([k2, k1], axis=1))
    keys = distribute.gather(_rows.unit(keys))
    queries = _rows.unit(tf.stack([q1, q2])) / temperature
    right = _rows.numbers(q1)
    first, second = (
        streamed.compare(
            queries[view],
            keys[:, view],
            right,
            chunk=chunk,
            nearest=view == 0,
            fixed=True,
        )
        for view in range(2)
    )
    errors = [found["log_sum"] - found["own"] for found in (first, second)]
    return {
        "loss": 2.0 * temperature * tf.reduce_mean(tf.add_n(errors)),
        "accuracy": _rows.share(first["nearest"] == right),
    }
