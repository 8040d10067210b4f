"""Rows of a batch, of this replica and of all: what several losses share."""

import tensorflow as tf

from keras_ssl.core import distribute


def unit(x: tf.Tensor) -> tf.Tensor:
    """`x` in float32 with rows (last axis) of length 1; zero rows stay zero."""
    return tf.math.l2_normalize(tf.cast(x, tf.float32), axis=-1)


def constant(x: tf.Tensor) -> tf.Tensor:
    """`x` in float32, without gradient."""
    return tf.stop_gradient(tf.cast(x, tf.float32))


def numbers(local: tf.Tensor) -> tf.Tensor:
    """`(n,)` int32: where the local rows stand in the global batch."""
    return distribute.first_row(local) + tf.range(tf.shape(local)[0])


def count(local: tf.Tensor) -> tf.Tensor:
    """Scalar float32: rows of the global batch."""
    return tf.cast(distribute.rows(local), tf.float32)


def at_least(rows: int, local: tf.Tensor) -> None:
    """Raises ValueError if the global batch is known to have fewer rows."""
    # Also while variables are made, which is outside any replica.
    known = (local.shape[0] or rows) * distribute.replicas()
    if known < rows:
        raise ValueError(f"The batch must have at least {rows} rows, got {known}.")


def centred(x: tf.Tensor) -> tf.Tensor:
    """`(n, ...)` less its mean over the global batch."""
    return x - distribute.mean(tf.reduce_mean(x, axis=0, keepdims=True))


def in_batch(queries: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compares each local query with the keys of the global batch.

    Args:
        queries: `(n, d)` float32.
        keys: `(n, d)` float32, aligned with `queries`.

    Returns:
        `(n, replicas * n)` dot products and, `(n,)` int32, each row's own key.
    """
    logits = tf.matmul(queries, distribute.gather(keys), transpose_b=True)
    return logits, numbers(queries)


def matching(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross entropy of `(n, k)` logits whose right columns are `labels`."""
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    )


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Share of rows whose largest logit is the right one, without gradient."""
    nearest = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(nearest == labels, tf.float32))
