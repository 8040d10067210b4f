"""Losses of pretext tasks: what was done to an image is to be told."""

import tensorflow as tf


def rotation(logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of telling an image's quarter turns (RotNet, eq. 3).

    Args:
        logits: `(n, turns, turns)`: of each image, turned by each number of quarter
            turns in order, the scores of all turns.

    Returns:
        Scalar: the mean over images and turns; `log(turns)` is chance.
    """
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(_turns(logits), logits)
    )


def rotation_accuracy(logits: tf.Tensor) -> tf.Tensor:
    """Share of turned images whose turn has the best score.

    Args:
        logits: As for `rotation`.

    Returns:
        Scalar in [0, 1], without a gradient.
    """
    told = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(told == _turns(logits), tf.float32))


def _turns(logits: tf.Tensor) -> tf.Tensor:
    """The right answers, `(n, turns)` int32."""
    return tf.broadcast_to(tf.range(tf.shape(logits)[-1]), tf.shape(logits)[:2])
