"""Rows of a batch, of this replica and of all: what several losses share."""

import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.losses import streamed


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


def in_batch(
    queries: tf.Tensor,
    keys: tf.Tensor,
    chunk: int | None = None,
    nearest: bool = False,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Tells each local query's key from those of the global batch.

    Args:
        queries: `(n, d)` float32, divided by the temperature.
        keys: `(n, d)` float32, aligned with `queries`.
        chunk: Keys at a time; None for all.
        nearest: Whether to find out which queries are nearest to their own key.

    Returns:
        `(n,)` cross entropies and, with `nearest`, `(n,)` bools.
    """
    right = numbers(queries)
    found = streamed.compare(
        queries, distribute.gather(keys), right, chunk=chunk, nearest=nearest
    )
    hits = found["nearest"] == right if nearest else None
    return found["log_sum"] - found["own"], hits


def log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Logarithm of the sum of two sums, given by their logarithms."""
    return tf.maximum(a, b) + tf.nn.softplus(-tf.abs(a - b))


def share(hits: tf.Tensor) -> tf.Tensor:
    """Share of `hits` that are true, a scalar float32."""
    return tf.reduce_mean(tf.cast(hits, tf.float32))
