"""A bank with a row for each training image: that of InstDisc and DeepCluster."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.memory.base import Memory
from keras_ssl.memory.queue import update_rows
from keras_ssl.schedules import Clock


class Bank(Memory):
    """One unit row for each training image, moved towards what was seen of it last.

    Every replica holds the whole bank and writes the rows of all of them, so that it
    is the same everywhere: 512 bytes an image at a width of 128.

    `bank(rows)` gives the stored rows: of `rows` only the width counts, by which the
    bank is made.

    Args:
        momentum: Share of a row that is kept when it is seen again, in [0, 1).
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If `momentum` is out of range.
    """

    def __init__(self, momentum: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
        self.momentum = momentum
        self.rows = 0

    def prepare(self, clock: Clock) -> None:
        if clock.examples < 1:
            raise ValueError(
                "A bank needs to know how many training images there are: give the "
                "clock its examples."
            )
        self.rows = clock.examples

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = int(input_shape[-1] or 0)
        # As zhirongw/lemniscate.pytorch lib/NCEAverage.py: lengths below 1.
        limit = 1.0 / math.sqrt(width / 3)
        self.table = self.add_weight(
            name="table",
            shape=(self.rows, width),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            trainable=False,
        )

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        """All stored rows, `(examples, d)` float32, without gradient."""
        del rows
        return tf.stop_gradient(tf.convert_to_tensor(self.table))

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Some rows, `(..., d)`, by their places in the training set, `(...)`."""
        return tf.gather(tf.convert_to_tensor(self.table), index)

    def update(self, index: tf.Tensor, rows: tf.Tensor) -> None:
        """Moves the rows of all replicas' examples and makes them unit vectors again.

        Args:
            index: `(n,)` integers, places in the training set.
            rows: `(n, d)`, what was seen of them.
        """
        index = distribute.gather(index)
        rows = distribute.gather(tf.math.l2_normalize(tf.cast(rows, tf.float32), -1))
        mixed = self.momentum * self.read(index) + (1.0 - self.momentum) * rows
        update_rows(self.table, index, tf.math.l2_normalize(mixed, axis=-1))
