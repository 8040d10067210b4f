"""Losses that find a row's partner among the global batch."""

import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.losses import _checks, _rows


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
    _checks.positive(temperature=temperature)
    _checks.rank(2, q1=q1)
    _checks.same_shape(q1=q1, q2=q2, k1=k1, k2=k2)
    # One gather for both views: collectives cost latency more than bytes.
    n, keys = tf.shape(q1)[0], tf.stop_gradient(tf.stack([k2, k1], axis=1))
    keys = distribute.gather(_rows.unit(keys))
    queries = _rows.unit(tf.stack([q1, q2]))
    logits = tf.einsum("vnd,mvd->vnm", queries, keys) / temperature
    labels = tf.broadcast_to(_rows.numbers(q1), [2, n])
    return 4.0 * temperature * _rows.matching(logits, labels)


def cpc_info_nce(context_predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Tells the true target of each prediction from the batch's (CPC, eq. 4).

    The softmax runs over the targets for each prediction, as in the paper; ports
    with a softmax over the predictions exist. Nothing is normalised.

    Args:
        context_predictions: `(n, d)` predictions from the context.
        targets: `(n, d)` latents to be found, aligned with them; they get a gradient.

    Returns:
        Scalar: the mean over the `n` local rows, each against all `replicas * n`
        targets; `log(replicas * n)` is chance.

    Raises:
        ValueError: If the shapes differ.
    """
    return _rows.matching(*_cpc_logits(context_predictions, targets))


def cpc_accuracy(context_predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Share of predictions that score highest with their own target.

    Args:
        context_predictions: As for `cpc_info_nce`.
        targets: As for `cpc_info_nce`.

    Returns:
        Scalar in [0, 1] over the local rows, without gradient; chance is one in
        `replicas * n`.

    Raises:
        ValueError: If the shapes differ.
    """
    return _rows.accuracy(*_cpc_logits(context_predictions, targets))


def _cpc_logits(
    context_predictions: tf.Tensor, targets: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    _checks.rank(2, context_predictions=context_predictions)
    _checks.same_shape(context_predictions=context_predictions, targets=targets)
    return _rows.in_batch(
        tf.cast(context_predictions, tf.float32), tf.cast(targets, tf.float32)
    )
