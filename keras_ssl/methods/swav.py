"""SwAV: Caron et al. 2020, https://arxiv.org/abs/2006.09882."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_ssl import losses, metrics
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.memory.queue import Queue
from keras_ssl.methods.base import Batch, Method, Outputs, Pictures, Scalars
from keras_ssl.methods.multi_crop import by_size
from keras_ssl.metrics.signs import UNIFORM, USAGE, information, logged
from keras_ssl.schedules import from_epoch


@register("method")
class SwAV(Method):
    """Predicts the balanced assignment of a view to prototypes from other views.

    Takes any number of views, of any sizes. A queue makes up for batches that are
    small beside the prototypes: its projections are assigned together with the batch.
    It is filled from the first step on and used once features are stable; the authors'
    code begins to fill it only then.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections.
        prototypes: Maps projections to cosines with class vectors.
        assign_crops: The views that are assigned, each on its own; the others only
            predict. They should be the large ones.
        temperature: Positive divisor of the cosines that predict. Lower is sharper.
        epsilon: Positive temperature of the assignments; 0.03 if they stay uniform.
        num_iters: Iterations of Sinkhorn-Knopp, at least 1.
        queue_size: Earlier images whose projections are kept; a multiple of the batch
            size, or 0 for no queue.
        queue_from_epoch: Epoch at which the queue begins to be used, from 0.

    Raises:
        ValueError: If a number is out of range.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2006.09882"
    year = 2020
    family = "clustering"
    spans = "statistics"
    compared = ("z",)
    signs = (
        information(lambda m, x: tf.nn.softmax(x["scores"][:, 0] / m.epsilon), UNIFORM),
        logged("assignment_entropy"),
        USAGE,
    )

    # Among so many images it shows those that are nearest to a prototype.
    shows = "prototypes"
    pictured = 256

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        prototypes: keras.layers.Layer,
        assign_crops: Sequence[int] = (0, 1),
        temperature: float = 0.1,
        epsilon: float = 0.05,
        num_iters: int = 3,
        queue_size: int = 0,
        queue_from_epoch: float = 15,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature, epsilon=epsilon, num_iters=num_iters)
        checks.not_negative(queue_size=queue_size, queue_from_epoch=queue_from_epoch)
        self.projector, self.prototypes = projector, prototypes
        self.assign_crops = tuple(assign_crops)
        self.temperature = temperature
        self.epsilon, self.num_iters = epsilon, num_iters
        self.queue = Queue(queue_size) if queue_size else None
        self.uses_queue = from_epoch(queue_from_epoch)

    def forward(self, batch: Batch) -> Outputs:
        views = batch["views"]
        features = by_size(lambda x: self.encoder(x, training=True), views)
        # All views in one pass, and in one batch norm, as facebookresearch/swav.
        z = self.projector(tf.concat(features, axis=0), training=True)
        z = tf.math.l2_normalize(tf.cast(z, tf.float32), axis=-1)
        z = tf.stack(tf.split(z, len(views)), axis=1)
        return {"z": z, "scores": self.prototypes(z), "images": views[0]}

    def objective(self, outputs: Outputs) -> Scalars:
        scores = tf.transpose(outputs["scores"], [1, 0, 2])
        assignments = self._assign(tf.gather(scores, self.assign_crops), outputs["z"])
        loss = losses.swapped_prediction(
            scores, assignments, self.assign_crops, self.temperature
        )
        return {
            "loss": loss,
            "prototype_usage": losses.prototype_usage(
                tf.reshape(assignments, [-1, assignments.shape[-1]])
            ),
            "assignment_entropy": metrics.mean_entropy(assignments),
        }

    def remember(self, outputs: Outputs) -> None:
        if self.queue is not None:
            self.queue.push(self._assigned(outputs["z"]))

    def pictures(self, outputs: Outputs) -> Pictures:
        """Images nearest to each of the prototypes that most images prefer."""
        return metrics.nearest_images(outputs["scores"][:, 0], outputs["images"])

    def _assign(self, scores: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Assignments of `(crops, n, k)` scores."""
        alone = losses.sinkhorn(scores, self.epsilon, self.num_iters)
        if self.queue is None:
            return alone
        crops = len(self.assign_crops)
        rows = tf.reshape(self.queue(self._assigned(z)), [-1, crops, z.shape[-1]])
        shared = tf.cast(self.prototypes(tf.transpose(rows, [1, 0, 2])), tf.float32)
        queued = losses.sinkhorn(scores, self.epsilon, self.num_iters, shared)
        # Both are computed: replicas cannot meet in one branch of a condition.
        return tf.where(self.now(self.uses_queue), queued, alone)

    def _assigned(self, z: tf.Tensor) -> tf.Tensor:
        """`(n, crops * k)`: side by side those projections that get assigned."""
        rows = tf.gather(z, self.assign_crops, axis=1)
        return tf.reshape(rows, [-1, rows.shape[1] * rows.shape[2]])
