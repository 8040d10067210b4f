"""NNCLR: Dwibedi et al. 2021, https://arxiv.org/abs/2104.14548."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.memory.queue import Queue
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING


@register("method")
class NNCLR(Method):
    """Predicts what is nearest, among past images, to an image's other view.

    Positives are so from other images, which no augmentation would make. At first the
    queue holds random directions, and neighbours say nothing.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections, which are looked up.
        predictor: Maps projections to `(n, k)` predictions of neighbours.
        queue_size: Projections of first views that are kept; a multiple of the batch
            size.
        temperature: Positive divisor of the cosine logits. Lower is sharper.

    Raises:
        ValueError: If `temperature` is not positive.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2104.14548"
    year = 2021
    family = "instance discrimination"
    spans = "gathers"
    compared = ("z1", "z2")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        predictor: keras.layers.Layer,
        queue_size: int,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        self.projector = projector
        self.predictor = predictor
        self.queue = Queue(queue_size)
        self.temperature = temperature

    def forward(self, batch: Batch) -> Outputs:
        (z1, p1), (z2, p2) = (self._branch(view) for view in batch["views"][:2])
        return {"z1": z1, "z2": z2, "p1": p1, "p2": p2}

    def objective(self, outputs: Outputs) -> Scalars:
        z1, z2, p1, p2 = (outputs[name] for name in ("z1", "z2", "p1", "p2"))
        # Looked up before it takes this batch in: no view is its own neighbour.
        queue = self.queue(z1)
        loss = losses.nnclr(z1, p2, queue, self.temperature)
        loss += losses.nnclr(z2, p1, queue, self.temperature)
        nearest = _nearest(z1, queue)
        near = tf.gather(queue, nearest)
        same = nearest == _nearest(z2, queue)
        return {
            "loss": loss / 2.0,
            # Neighbours of which the prediction is nearest to the right image.
            "accuracy": losses.cpc_accuracy(near, tf.math.l2_normalize(p2, -1)),
            # Images whose views have the same neighbour.
            "agreement": tf.reduce_mean(tf.cast(same, tf.float32)),
        }

    def remember(self, outputs: Outputs) -> None:
        self.queue.push(tf.math.l2_normalize(outputs["z1"], axis=-1))

    def _branch(self, images: tf.Tensor) -> tuple[Any, Any]:
        z = self.projector(self.encoder(images, training=True), training=True)
        return z, self.predictor(z, training=True)


def _nearest(z: tf.Tensor, queue: tf.Tensor) -> tf.Tensor:
    """`(n,)` int32: the rows of the queue that the projections point to most."""
    # Lengths of projections make no difference to which is largest.
    cosines = tf.matmul(z, queue, transpose_b=True)
    return tf.argmax(cosines, axis=-1, output_type=tf.int32)
