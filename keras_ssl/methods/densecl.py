"""DenseCL: Wang et al. 2020, https://arxiv.org/abs/2011.09157."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.layers import split_statistics
from keras_ssl.memory.ema import Ema
from keras_ssl.memory.queue import Queue
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING
from keras_ssl.schedules import Schedule


@register("method")
class DenseCL(Method):
    """MoCo for whole images, and for every position of the encoder's last map.

    A position's key is that of the other view whose features of the encoder are
    nearest to its own. The dense queue holds a mean key of each image.

    Args:
        encoder: An encoder with maps; its features are the mean of the last one.
        projector: Maps features to the `(n, k)` space of the loss.
        dense_projector: Maps features of positions, `(n, s, d)` to `(n, s, k)`; as
            1x1 convolutions, such as an MLP without norms.
        queue_size: Past keys that are kept, of images and of positions; a multiple
            of the batch size.
        momentum: Schedule of the share that the target keeps at each step.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        dense_share: Share of the dense loss in the whole, in [0, 1].
        splits: Groups of the batch with batch statistics of their own; see MoCo.

    Raises:
        TypeError: If the encoder has no maps.
        ValueError: If a number is out of range.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2011.09157"
    year = 2020
    family = "instance discrimination"
    needs = ("maps",)
    spans = "local"
    compared = ("q_whole", "k_whole")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        dense_projector: keras.layers.Layer,
        queue_size: int,
        momentum: Schedule,
        temperature: float = 0.2,
        dense_share: float = 0.5,
        splits: int = 4,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature, splits=splits)
        checks.share(dense_share=dense_share)
        self.projector, self.dense_projector = projector, dense_projector
        self.queue, self.dense_queue = Queue(queue_size), Queue(queue_size)
        self.target = Ema([encoder, projector, dense_projector], momentum)
        self.temperature, self.splits = temperature, splits
        self.dense_share = dense_share

    def forward(self, batch: Batch) -> Outputs:
        first, second = batch["views"][:2]
        if not self.encoder.built:
            # While variables are made: by `maps` alone Keras would not export it.
            self.encoder(first)
        parts = (self.encoder, self.projector, self.dense_projector)
        online = functools.partial(_branch, parts)
        target = functools.partial(_branch, self.target.copies)
        queries = split_statistics.for_queries(online, first, self.splits)
        keys = split_statistics.for_keys(target, second, self.splits)
        outputs = {f"k_{name}": tf.stop_gradient(x) for name, x in keys.items()}
        return outputs | {f"q_{name}": x for name, x in queries.items()}

    def objective(self, outputs: Outputs) -> Scalars:
        queries, keys = outputs["q_whole"], outputs["k_whole"]
        queue = self.queue(keys)
        found = losses.info_nce_with_accuracy(queries, keys, queue, self.temperature)
        dense = losses.densecl(
            outputs["q_grid"],
            outputs["k_grid"],
            outputs["q_map"],
            outputs["k_map"],
            self.dense_queue(_pooled(outputs["k_grid"])),
            self.temperature,
        )
        return {
            "loss": (1 - self.dense_share) * found["loss"] + self.dense_share * dense,
            "whole": found["loss"],
            "dense": dense,
            "accuracy": found["accuracy"],
        }

    def remember(self, outputs: Outputs) -> None:
        self.queue.push(tf.math.l2_normalize(outputs["k_whole"], axis=-1))
        self.dense_queue.push(_pooled(outputs["k_grid"]))


def _branch(parts: Sequence[Any], images: tf.Tensor) -> dict[str, tf.Tensor]:
    """The last map `(n, s, c)`, and projections of its mean and of its positions."""
    encoder, projector, dense_projector = parts
    *_, last = encoder.maps(images, training=True).values()
    positions = tf.reshape(last, [-1, last.shape[1] * last.shape[2], last.shape[3]])
    mean = tf.reduce_mean(tf.cast(positions, tf.float32), axis=1)
    made = {"whole": projector(mean, training=True), "map": positions}
    return made | {"grid": dense_projector(positions, training=True)}


def _pooled(grid: tf.Tensor) -> tf.Tensor:
    """Mean keys of the images as unit vectors, `(n, d)`, without gradient."""
    return tf.math.l2_normalize(tf.reduce_mean(tf.stop_gradient(grid), axis=1), -1)
