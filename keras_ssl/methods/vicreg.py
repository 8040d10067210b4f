"""VICReg: Bardes, Ponce and LeCun 2022, https://arxiv.org/abs/2105.04906."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged


@register("method")
class VICReg(Method):
    """Pulls two views together, while every feature varies and none repeats another.

    The paper calls the projector an expander. The loss is that of the authors' code,
    whose constants differ from the paper's formulas; see `losses.vicreg`.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections, without a norm at its end.
        invariance: Weight of the distance between views, not negative.
        variance: Weight of the deviations' hinge, not negative.
        covariance: Weight of the covariances, not negative.

    Raises:
        ValueError: If a weight is negative.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2105.04906"
    year = 2022
    family = "redundancy reduction"
    spans = "statistics"
    compared = ("z1", "z2")
    signs = (
        logged(
            "variance",
            warns=(None, 0.9),
            collapsed=(None, 0.97),
            advice="features hardly vary; raise the weight of the variance.",
        ),
        logged("covariance"),
    )

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        if min(invariance, variance, covariance) < 0:
            raise ValueError(
                "The weights must be at least 0, got "
                f"{invariance}, {variance} and {covariance}."
            )
        self.projector = projector
        self.weights_of_terms = (invariance, variance, covariance)

    def forward(self, batch: Batch) -> Outputs:
        # A pass for each view, as facebookresearch/vicreg main_vicreg.py.
        first, second = batch["views"][:2]
        return {"z1": self._project(first), "z2": self._project(second)}

    def objective(self, outputs: Outputs) -> Scalars:
        return losses.vicreg(outputs["z1"], outputs["z2"], *self.weights_of_terms)

    def _project(self, images: tf.Tensor) -> tf.Tensor:
        return self.projector(self.encoder(images, training=True), training=True)
