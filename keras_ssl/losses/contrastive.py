"""Losses that compare a view with other images' views."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows

# Finite, so that a row's gradient stays finite; exp(-1e9) is 0 in float32.
_EXCLUDED = -1e9


def nt_xent(
    z1: tf.Tensor,
    z2: tf.Tensor,
    temperature: float = 0.1,
    negative_keys: tf.Tensor | None = None,
) -> tf.Tensor:
    """Normalised-temperature cross entropy between two views (SimCLR, eq. 1).

    The mean over `2 * n` rows of the paper's Algorithm 1; the sum of two means in
    google-research/simclr tf2/objective.py is exactly twice as large.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        negative_keys: `(k, d)` further negatives of every row, such as a queue
            (SimCLRv2), rows of length 1; no gradient flows to them.

    Returns:
        Scalar: mean over the `2 * n` local rows, each against all
        `2 * replicas * n - 1` candidates, and the `k`.

    Raises:
        ValueError: If `temperature` is not positive or the shapes differ.
    """
    logits, positives = _nt_xent_logits(z1, z2, temperature, negative_keys)
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(positives, logits)
    )


def nt_xent_accuracy(
    z1: tf.Tensor, z2: tf.Tensor, negative_keys: tf.Tensor | None = None
) -> tf.Tensor:
    """Share of rows whose nearest candidate is the other view of the same image.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        negative_keys: As for `nt_xent`.

    Returns:
        Scalar in [0, 1], over the `2 * n` local rows; chance is one in
        `2 * replicas * n - 1`, plus the number of `negative_keys`.
    """
    logits, positives = _nt_xent_logits(z1, z2, 1.0, negative_keys)
    nearest = tf.argmax(logits, axis=1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(nearest == positives, tf.float32))


def _nt_xent_logits(
    z1: tf.Tensor,
    z2: tf.Tensor,
    temperature: float,
    negative_keys: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(2n, 2N)` logits of local rows against all, and where the positives stand.

    Further negatives stand behind them.
    """
    checks.positive(temperature=temperature)
    checks.same_shape(z1=z1, z2=z2)
    z1, z2 = _rows.unit(z1), _rows.unit(z2)
    # One gather for both views: collectives cost latency more than bytes.
    both = distribute.gather(tf.stack([z1, z2], axis=1))
    count = tf.shape(both)[0]
    candidates = tf.concat([both[:, 0], both[:, 1]], axis=0)
    rows = tf.concat([z1, z2], axis=0)
    logits = tf.matmul(rows, candidates, transpose_b=True)
    mine = _rows.numbers(z1)
    itself = tf.concat([mine, mine + count], axis=0)
    positives = tf.concat([mine + count, mine], axis=0)
    excluded = tf.one_hot(itself, 2 * count, on_value=_EXCLUDED, off_value=0.0)
    logits = logits / temperature + excluded
    if negative_keys is not None:
        checks.rank(2, negative_keys=negative_keys)
        checks.same_width(z1=z1, negative_keys=negative_keys)
        others = tf.matmul(rows, _rows.constant(negative_keys), transpose_b=True)
        logits = tf.concat([logits, others / temperature], axis=1)
    return logits, positives
