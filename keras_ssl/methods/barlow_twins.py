"""Barlow Twins: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged


@register("method")
class BarlowTwins(Method):
    """Makes the correlations between two views' features the identity.

    A feature should be the same in both views and tell nothing of the others.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections; wide ones are better.
        lambd: Weight of the off-diagonal terms, not negative. It belongs to a width:
            there are `k` terms on the diagonal and `k * (k - 1)` off it.

    Raises:
        ValueError: If `lambd` is negative.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2103.03230"
    year = 2021
    family = "redundancy reduction"
    spans = "statistics"
    compared = ("z1", "z2")
    signs = (
        logged(
            "diagonal",
            warns=(0.1, None),
            advice="views have little in common; look at the views and the rate.",
        ),
        logged("off_diagonal"),
    )

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        lambd: float = 0.0051,
    ) -> None:
        super().__init__(encoder)
        checks.not_negative(lambd=lambd)
        self.projector = projector
        self.lambd = lambd

    def forward(self, batch: Batch) -> Outputs:
        # A pass for each view, as facebookresearch/barlowtwins main.py.
        first, second = batch["views"][:2]
        return {"z1": self._project(first), "z2": self._project(second)}

    def objective(self, outputs: Outputs) -> Scalars:
        correlation = losses.cross_correlation(outputs["z1"], outputs["z2"])
        return {
            "loss": losses.correlation_loss(correlation, self.lambd),
            **losses.correlation_means(correlation),
        }

    def _project(self, images: tf.Tensor) -> tf.Tensor:
        return self.projector(self.encoder(images, training=True), training=True)
