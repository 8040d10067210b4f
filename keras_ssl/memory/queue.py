"""A queue of past keys: the dictionary of MoCo, the support set of NNCLR."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.memory.base import Memory


class Queue(Memory):
    """The latest rows that were pushed, the same ones on every replica.

    Starts with random directions, as in facebookresearch/moco moco/builder.py, so that
    there is something to compare with from the first step on. `queue(rows)` gives the
    stored rows: of `rows` only the shape counts, by which the queue is made.

    Args:
        size: Rows that are kept; a multiple of the global batch size.
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If `size` is not positive.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"A queue needs at least one row, got size={size}.")
        self.size = size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.check(input_shape[0])
        self.table = self.add_weight(
            name="table",
            shape=(self.size, input_shape[-1]),
            initializer=unit_rows,
            trainable=False,
        )
        self.next = self.add_weight(
            name="next", shape=(), dtype="int32", initializer="zeros", trainable=False
        )

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        """The stored rows, `(size, d)` float32, without gradient."""
        del rows
        return tf.stop_gradient(tf.convert_to_tensor(self.table))

    def push(self, rows: tf.Tensor) -> None:
        """Stores the rows of all replicas in the place of the oldest ones.

        Args:
            rows: `(n, d)`, this replica's.
        """
        rows = distribute.gather(tf.cast(rows, tf.float32))
        count = tf.shape(rows)[0]
        places = (self.next.value + tf.range(count)) % self.size
        update_rows(self.table, places, rows)
        self.next.assign((self.next.value + count) % self.size)

    def check(self, local: int | None) -> None:
        """Raises a ValueError if batches of `local` rows do not fill the queue."""
        rows = (local or 1) * distribute.replicas()
        if self.size % rows:
            near = max(1, round(self.size / rows)) * rows
            raise ValueError(
                f"A queue of {self.size} rows cannot be filled by batches of {rows}: "
                f"take a multiple of the batch size, such as size={near}."
            )


def unit_rows(shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
    """Random directions `shape`, each row of length 1."""
    draw = keras.initializers.RandomNormal(stddev=1.0)
    return tf.math.l2_normalize(draw(shape, dtype=dtype), axis=-1)


def update_rows(table: keras.Variable, places: tf.Tensor, rows: tf.Tensor) -> None:
    """Writes some rows of a table where they stand, without copying the others.

    Args:
        table: `(count, ...)`.
        places: `(n,)` integers in [0, count).
        rows: `(n, ...)`, the same on every replica.
    """
    rows = tf.cast(rows, table.dtype)
    table.value.scatter_update(tf.IndexedSlices(rows, places))
