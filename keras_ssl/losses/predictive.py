"""Losses that predict one part of an example from another part of it."""

import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.losses import streamed


def cpc_info_nce(
    context_predictions: tf.Tensor, targets: tf.Tensor, valid: tf.Tensor | None = None
) -> tf.Tensor:
    """InfoNCE of predicted against true latents (CPC, eq. 4).

    Scores are plain products, neither normalised nor divided by a temperature. The
    softmax runs over the targets, for each prediction; some ports of CPC have it run
    over the predictions.

    Args:
        context_predictions: `(n, d)` latents as the contexts predict them.
        targets: `(n, d)` true latents, aligned with the predictions.
        valid: `(n,)`, 1 where prediction and target are real and 0 where they are
            padding, which is neither predicted nor a candidate; all are real if None.

    Returns:
        Scalar: mean over the valid local rows, each against the valid targets of all
        replicas. Where replicas have unequally many, each row weighs the same.

    Raises:
        ValueError: If the shapes differ.
    """
    logits, positives, weights = _rows(context_predictions, targets, valid)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(positives, logits)
    return tf.reduce_sum(losses * weights)


def cpc_accuracy(
    context_predictions: tf.Tensor, targets: tf.Tensor, valid: tf.Tensor | None = None
) -> tf.Tensor:
    """Share of predictions that score their own target highest.

    Args:
        context_predictions: `(n, d)` latents as the contexts predict them.
        targets: `(n, d)` true latents, aligned with the predictions.
        valid: As for `cpc_info_nce`.

    Returns:
        Scalar in [0, 1], over the valid local rows; chance is one in the number of
        valid targets of all replicas.

    Raises:
        ValueError: If the shapes differ.
    """
    logits, positives, weights = _rows(context_predictions, targets, valid)
    best = tf.argmax(logits, axis=1, output_type=tf.int32)
    return tf.reduce_sum(tf.cast(best == positives, tf.float32) * weights)


def _rows(
    predictions: tf.Tensor, targets: tf.Tensor, valid: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Logits `(n, N)`, where the positives stand `(n,)`, and weights `(n,)`."""
    predictions = tf.cast(predictions, tf.float32)
    targets = tf.cast(targets, tf.float32)
    shapes = predictions.shape, targets.shape
    if shapes[0].rank != 2 or not shapes[0].is_compatible_with(shapes[1]):
        raise ValueError(
            "context_predictions and targets must have the same shape (n, d), got "
            f"{shapes[0]} and {shapes[1]}."
        )
    rows = tf.shape(targets)[0]
    candidates = distribute.gather(targets)
    logits = tf.matmul(predictions, candidates, transpose_b=True)
    positives = distribute.first_row(targets) + tf.range(rows)
    if valid is None:
        return logits, positives, tf.fill([rows], 1.0 / tf.cast(rows, tf.float32))
    valid = tf.cast(valid, tf.float32)
    logits += (1.0 - distribute.gather(valid)) * streamed.EXCLUDED
    count = distribute.mean(tf.reduce_sum(valid))
    return logits, positives, valid / tf.maximum(count, 1e-6)
