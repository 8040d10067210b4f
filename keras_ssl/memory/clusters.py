"""Clusters of a bank, made anew at each epoch: those of DeepCluster-v2."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_ssl import metrics
from keras_ssl.memory.bank import Bank
from keras_ssl.memory.k_means import k_means
from keras_ssl.memory.queue import unit_rows
from keras_ssl.schedules import Clock, Schedule, Value


class Clusters(Bank):
    """A bank whose rows are clustered after the last step of each epoch.

    Each head has a clustering of its own, from another random start; heads take the
    embeddings of a row by turns. Assignments and centroids stay as they are during an
    epoch. Every replica does the same work on the same bank, so that nothing has to be
    sent; a run that goes on within an epoch finds its clusters among its variables.

    Before the first clustering assignments are -1 and centroids are random directions.

    Args:
        count: Clusters of each head; at most the number of training images.
        heads: Number of clusterings.
        embeddings: How many embeddings of an image a row holds, side by side.
        iterations: Of k-means.
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        count: int,
        heads: int = 3,
        embeddings: int = 2,
        iterations: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(momentum=0.0, **kwargs)
        if count < 2 or min(heads, embeddings, iterations) < 1:
            raise ValueError(
                "count must be at least 2, heads, embeddings and iterations at least "
                f"1; got {count}, {heads}, {embeddings} and {iterations}."
            )
        self.count, self.heads = count, heads
        self.embeddings, self.iterations = embeddings, iterations

    def prepare(self, clock: Clock) -> None:
        super().prepare(clock)
        if self.rows < self.count:
            raise ValueError(
                f"{self.rows} training images cannot make {self.count} clusters: take "
                "fewer."
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.width = int(input_shape[-1] or 0) // self.embeddings
        self.centroids = self.add_weight(
            name="centroids",
            shape=(self.heads, self.count, self.width),
            initializer=unit_rows,
            trainable=False,
        )
        self.assignments = self.add_weight(
            name="assignments",
            shape=(self.rows, self.heads),
            dtype="int32",
            initializer=lambda shape, dtype=None: tf.fill(shape, -1),
            trainable=False,
        )
        # How far the last two clusterings agree, the mean over heads.
        self.stability = self.add_weight(
            name="stability", shape=(), initializer="zeros", trainable=False
        )

    def assigned(self, index: tf.Tensor) -> tf.Tensor:
        """Clusters of some images in each head, `(n, heads)` int32, by their places."""
        return tf.gather(tf.convert_to_tensor(self.assignments), index)

    def after_step(self, now: Callable[[Schedule], tf.Tensor]) -> None:
        tf.cond(now(last_of_epoch), lambda: self._cluster(now(steps)), tf.no_op)

    def _cluster(self, step: tf.Tensor) -> tf.Operation:
        """Clusters the bank; `step` chooses where k-means starts."""
        table = tf.reshape(
            tf.convert_to_tensor(self.table), [self.rows, self.embeddings, self.width]
        )
        before = tf.maximum(tf.convert_to_tensor(self.assignments), 0)
        found = []
        for head in range(self.heads):
            rows = tf.math.l2_normalize(table[:, head % self.embeddings], axis=-1)
            seed = tf.stack([tf.cast(step, tf.int32), head])
            found.append(k_means(rows, self.count, self.iterations, seed))
        centroids, assignments = (tf.stack(x) for x in zip(*found, strict=True))
        agree = [
            metrics.normalized_mutual_information(before[:, head], now, self.count)
            for head, now in enumerate(tf.unstack(assignments))
        ]
        self.centroids.assign(centroids)
        self.assignments.assign(tf.transpose(assignments))
        self.stability.assign(tf.add_n(agree) / self.heads)
        return tf.no_op()


def last_of_epoch(clock: Clock) -> Value:
    """A schedule of whether the step just made ended an epoch.

    Args:
        clock: Length of the run.
    """
    return lambda step: tf.equal(tf.cast(step, tf.int64) % clock.steps_per_epoch, 0)


def steps(clock: Clock) -> Value:
    """A schedule of the number of steps made.

    Args:
        clock: Length of the run, not used.
    """
    del clock
    return lambda step: tf.cast(step, tf.int64)
