"""DeepCluster-v2: Caron et al. 2020, https://arxiv.org/abs/2006.09882, appendix."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_ssl import losses, metrics
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.memory.clusters import Clusters
from keras_ssl.methods.base import Batch, Method, Outputs, Pictures, Scalars
from keras_ssl.methods.multi_crop import by_size
from keras_ssl.metrics.signs import UNIFORM, information, logged


@register("method")
class DeepClusterV2(Method):
    """Tells for every view in which cluster its image was in the last epoch.

    The clusters are those of the embeddings of the last epoch, found by spherical
    k-means, and their centroids stand in the place of learned prototypes. The authors'
    code fills the bank by a pass without learning before the first epoch; here the
    first epoch learns, from balanced assignments of its batches to random centroids,
    as SwAV's with frozen prototypes.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` embeddings.
        clusters: Clusters of each head; at most the number of training images.
        heads: Number of clusterings, by turns of the assigned views' embeddings.
        assign_crops: The views whose embeddings are clustered.
        temperature: Positive divisor of the cosines with centroids. Lower is sharper.
        iterations: Of k-means.

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
        information(
            lambda m, x: tf.nn.softmax(m._scores(x["z"])[0, 0] / m.temperature), UNIFORM
        ),
        logged("nmi"),
    )

    # Among so many images it shows those that are nearest to a centroid.
    shows = "prototypes"
    pictured = 256

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        clusters: int,
        heads: int = 3,
        assign_crops: Sequence[int] = (0, 1),
        temperature: float = 0.1,
        iterations: int = 10,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        self.projector = projector
        self.assign_crops = tuple(assign_crops)
        self.temperature = temperature
        self.clusters = Clusters(clusters, heads, len(self.assign_crops), iterations)

    def forward(self, batch: Batch) -> Outputs:
        views = batch["views"]
        features = by_size(lambda x: self.encoder(x, training=True), views)
        # All views in one pass, and in one batch norm, as facebookresearch/swav.
        z = self.projector(tf.concat(features, axis=0), training=True)
        z = tf.math.l2_normalize(tf.cast(z, tf.float32), axis=-1)
        z = tf.stack(tf.split(z, len(views)), axis=1)
        return {"z": z, "index": batch["index"], "images": views[0]}

    def objective(self, outputs: Outputs) -> Scalars:
        scores = self._scores(outputs["z"])
        assigned = self._assigned(scores, outputs["index"])
        labels = tf.reshape(tf.tile(assigned[:, None], [1, scores.shape[1], 1]), [-1])
        scores = tf.reshape(scores, [-1, scores.shape[-1]])
        right = tf.argmax(scores, axis=1, output_type=tf.int32) == labels
        return {
            # All heads and views have as many rows: one mean is that of the means.
            "loss": losses.deepcluster_v2(scores, labels, self.temperature),
            "accuracy": tf.reduce_mean(tf.cast(right, tf.float32)),
            "nmi": tf.convert_to_tensor(self.clusters.stability),
        }

    def remember(self, outputs: Outputs) -> None:
        self.clusters.update(outputs["index"], self._embeddings(outputs["z"]))

    def pictures(self, outputs: Outputs) -> Pictures:
        """Images nearest to each of the first head's fullest clusters."""
        return metrics.nearest_images(
            self._scores(outputs["z"])[0, 0], outputs["images"]
        )

    def _scores(self, z: tf.Tensor) -> tf.Tensor:
        """`(heads, views, n, clusters)` cosines of `(n, views, k)` embeddings."""
        self.clusters(self._embeddings(z))
        centroids = tf.stop_gradient(tf.convert_to_tensor(self.clusters.centroids))
        return tf.einsum("nvd,hkd->hvnk", z, centroids)

    def _assigned(self, scores: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """`(heads, n)` int32: clusters of the last epoch, or what stands in for them.

        A condition would spare the latter, but replicas cannot meet within one.
        """
        crops = [
            self.assign_crops[head % len(self.assign_crops)]
            for head in range(scores.shape[0])
        ]
        balanced = losses.sinkhorn(tf.gather(scores, crops, axis=1, batch_dims=1))
        fresh = tf.argmax(balanced, axis=-1, output_type=tf.int32)
        stored = tf.transpose(self.clusters.assigned(index))
        return tf.where(stored < 0, fresh, stored)

    def _embeddings(self, z: tf.Tensor) -> tf.Tensor:
        """`(n, crops * k)`: side by side those embeddings that get clustered."""
        rows = tf.gather(z, self.assign_crops, axis=1)
        return tf.reshape(rows, [-1, rows.shape[1] * rows.shape[2]])
