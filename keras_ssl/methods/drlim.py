"""DrLIM: Hadsell et al. 2006, https://doi.org/10.1109/CVPR.2006.100."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks, distribute
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars


@register("method")
class DrLIM(Method):
    """Maps neighbours near each other and everything else a margin apart.

    The first view shows an image, the second one its partner: the image itself, or
    what `train.partners` takes for its neighbour. Each first view is also compared with
    the second views of all other images of the global batch, without those that are
    known to be neighbours: of the same label, or in each other's neighbour list.

    The loss is the mean over similar pairs plus the mean over dissimilar ones, with the
    paper's halves, so that both kinds weigh the same however many there are. The paper
    sums over all pairs of a small set, where the dissimilar ones are far more.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` map of the loss, which is not
            normalised; if None the features are the map, as in the paper.
        margin: Distance from which on dissimilar pairs are left alone, positive.

    Raises:
        ValueError: If `margin` is not positive.
    """

    num_views = 2
    paper = "https://doi.org/10.1109/CVPR.2006.100"
    year = 2006
    family = "metric learning"
    spans = "gathers"
    compared = ("z1", "z2")

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer | None = None,
        margin: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        checks.positive(margin=margin)
        self.projector = projector
        self.margin = margin

    def forward(self, batch: Batch) -> Outputs:
        z = self.encoder(tf.concat(batch["views"][:2], axis=0), training=True)
        if self.projector is not None:
            z = self.projector(z, training=True)
        z1, z2 = tf.split(z, 2)
        told = {k: batch[k] for k in ("label", "neighbours") if k in batch}
        index = batch["index"]
        partner = batch.get("partner", index)
        return {"z1": z1, "z2": z2, "index": index, "partner": partner, **told}

    def objective(self, outputs: Outputs) -> Scalars:
        z1, z2 = outputs["z1"], outputs["z2"]
        similar = losses.contrastive_pair(z1, z2, tf.zeros(z1.shape[:1]), self.margin)
        dissimilar, apart = losses.dissimilar_pairs(
            z1, z2, _related(outputs), self.margin
        )
        # In a map that works this falls well below the margin, and `apart` nears it.
        together = tf.reduce_mean(tf.norm(tf.stop_gradient(z1 - z2), axis=-1))
        return {
            "loss": similar + dissimilar,
            "similar": similar,
            "dissimilar": dissimilar,
            "similar_distance": together,
            "dissimilar_distance": tf.stop_gradient(apart),
        }


def _related(outputs: Outputs) -> tf.Tensor:
    """Which local first views must not be driven from which second views of all.

    Returns:
        `(n, replicas * n)` bool.
    """
    # Not cut out of a stack: TensorFlow's optimizer of graphs (2.21) takes such slices
    # with a new axis for the whole stack, and all pairs become related.
    mine = outputs["index"][:, None]
    both = distribute.gather(tf.stack([outputs["index"], outputs["partner"]], axis=1))
    index, partner = tf.unstack(both, axis=1)
    # The same image, or two partners of one image: each row's own pair among them.
    related = (mine == partner[None]) | (mine == index[None])
    if "label" in outputs:
        labels = distribute.gather(outputs["label"])
        related |= outputs["label"][:, None] == labels[None]
    if "neighbours" in outputs:
        of_images, of_partners = tf.unstack(outputs["neighbours"], axis=1)
        theirs = distribute.gather(of_partners)
        related |= tf.reduce_any(of_images[:, None] == partner[None, :, None], axis=-1)
        related |= tf.reduce_any(mine[:, None] == theirs[None], axis=-1)
    return related
