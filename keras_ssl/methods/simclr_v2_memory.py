"""SimCLRv2 with its memory: Chen et al. 2020, https://arxiv.org/abs/2006.10029.

Without the memory SimCLRv2 is `SimCLR` with other parts (methods/simclr_v2.gin).
"""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.memory.ema import Ema
from keras_ssl.memory.queue import Queue
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING
from keras_ssl.schedules import Schedule


@register("method")
class SimCLRv2Memory(Method):
    """Contrasts two views with the batch, as SimCLR, and with a queue of past keys.

    A slow target makes the keys, the memory network of section 2 of the paper. The
    authors' code for it is not public: as the text has it, positives and the batch's
    negatives are those of SimCLR, and what the target gave is only ever a negative.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` space of the loss.
        queue_size: Past keys that are kept; a multiple of twice the batch size, for
            the keys of both views enter.
        momentum: Schedule of the share that the target keeps at each step.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        chunk: Candidates that rows are compared with at a time, so that a large global
            batch takes little memory in the loss; None for all at once.

    Raises:
        ValueError: If `temperature` or `chunk` is not positive.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2006.10029"
    year = 2020
    family = "instance discrimination"
    spans = "gathers"
    compared = ("z",)
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        queue_size: int,
        momentum: Schedule,
        temperature: float = 0.1,
        chunk: int | None = None,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        checks.columns(chunk=chunk)
        self.projector = projector
        self.queue = Queue(queue_size)
        self.target = Ema([encoder, projector], momentum)
        self.temperature = temperature
        self.chunk = chunk

    def forward(self, batch: Batch) -> Outputs:
        # Both views in one pass, and in one batch norm, as google-research/simclr.
        views = tf.concat(batch["views"][:2], axis=0)
        z = self.projector(self.encoder(views, training=True), training=True)
        keys = self.target(views, training=True)
        # Views on axis 1: rows are images.
        return {
            name: tf.stack(tf.split(x, 2), axis=1)
            for name, x in (("z", z), ("keys", keys))
        }

    def objective(self, outputs: Outputs) -> Scalars:
        z1, z2 = tf.unstack(outputs["z"], axis=1)
        queue = self.queue(_rows(outputs["keys"]))
        return losses.nt_xent_with_accuracy(z1, z2, self.temperature, queue, self.chunk)

    def remember(self, outputs: Outputs) -> None:
        self.queue.push(tf.math.l2_normalize(_rows(outputs["keys"]), axis=-1))


def _rows(x: tf.Tensor) -> tf.Tensor:
    """`(n, views, d)` as rows, in an order that replicas leave as it is."""
    return tf.reshape(x, [-1, x.shape[-1]])
