"""MoCo: He et al. 2019, https://arxiv.org/abs/1911.05722.

Version 2 has a deeper projector and other views: Chen et al. 2020,
https://arxiv.org/abs/2003.04297.
"""

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
class MoCo(Method):
    """Tells a view's key from a queue of keys that a slow target made.

    The paper calls the branches query and key encoder. The target moves after each
    step, so before the next keys are made; the queue is read before keys enter it.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` space of the loss.
        queue_size: Past keys that are kept; a multiple of the batch size, of twice
            that where `symmetric`.
        momentum: Schedule of the share that the target keeps at each step.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        symmetric: Whether each view is query and key in turn; the loss is then the
            mean of both and twice as many keys enter the queue.
        splits: Groups of the batch with batch statistics of their own, so that they
            don't tell which key is whose; see `layers/split_statistics.py`. 1 for
            encoders without batch norm.
        chunk: Keys of the queue that queries are compared with at a time, so that a
            large one takes little memory in the loss; None for all at once.

    Raises:
        ValueError: If `temperature`, `splits` or `chunk` is not positive.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/1911.05722"
    year = 2019
    family = "instance discrimination"
    spans = "local"
    compared = ("queries", "keys")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        queue_size: int,
        momentum: Schedule,
        temperature: float = 0.07,
        symmetric: bool = False,
        splits: int = 4,
        chunk: int | None = None,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature, splits=splits)
        checks.columns(chunk=chunk)
        self.projector = projector
        self.queue = Queue(queue_size)
        self.target = Ema([encoder, projector], momentum)
        self.temperature = temperature
        self.symmetric = symmetric
        self.splits = splits
        self.chunk = chunk

    def forward(self, batch: Batch) -> Outputs:
        first, second = batch["views"][:2]
        outputs = {"queries": [self._query(first)], "keys": [self._key(second)]}
        if self.symmetric:
            outputs["queries"].append(self._query(second))
            outputs["keys"].append(self._key(first))
        return {name: tf.stack(views, axis=1) for name, views in outputs.items()}

    def objective(self, outputs: Outputs) -> Scalars:
        # `(n, d)` or, symmetric, both directions row by row: `(2 * n, d)`.
        queries, keys = _rows(outputs["queries"]), _rows(outputs["keys"])
        queue = self.queue(keys)
        return losses.info_nce_with_accuracy(
            queries, keys, queue, self.temperature, self.chunk
        )

    def remember(self, outputs: Outputs) -> None:
        self.queue.push(tf.math.l2_normalize(_rows(outputs["keys"]), axis=-1))

    def _query(self, images: tf.Tensor) -> Any:
        def run(x: tf.Tensor) -> tf.Tensor:
            return self.projector(self.encoder(x, training=True), training=True)

        return split_statistics.for_queries(run, images, self.splits)

    def _key(self, images: tf.Tensor) -> Any:
        def run(x: tf.Tensor) -> tf.Tensor:
            return self.target(x, training=True)

        return split_statistics.for_keys(run, images, self.splits)


def _rows(x: tf.Tensor) -> tf.Tensor:
    """`(n, directions, d)` as rows, in an order that replicas leave as it is."""
    return tf.reshape(x, [-1, x.shape[-1]])
