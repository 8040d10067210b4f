"""BYOL: Grill et al. 2020, https://arxiv.org/abs/2006.07733."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core.registry import register
from keras_ssl.memory.ema import Ema
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged
from keras_ssl.schedules import Schedule


@register("method")
class BYOL(Method):
    """Predicts the projection that a slow target makes of the other view.

    The paper calls the branches online and target. The target starts as a copy of the
    online branch; the authors' code draws it anew, which changes little.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections.
        predictor: Maps online projections to `(n, k)` predictions of the target's.
        momentum: Schedule of the share that the target keeps at each step.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2006.07733"
    year = 2020
    family = "self-distillation"
    spans = "local"
    compared = ("p1", "target2")
    signs = (
        logged(
            "loss",
            warns=(0.08, None),
            collapsed=(0.02, None),
            advice="the predictions are all but perfect, which only constants are; is "
            "there a predictor, and does the target keep most of itself at a step?",
        ),
    )

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        predictor: keras.layers.Layer,
        momentum: Schedule,
    ) -> None:
        super().__init__(encoder)
        self.projector = projector
        self.predictor = predictor
        self.target = Ema([encoder, projector], momentum)

    def forward(self, batch: Batch) -> Outputs:
        # A pass for each view, as the authors': the views are drawn differently, and
        # each has its own batch statistics.
        first, second = batch["views"][:2]
        return {
            "p1": self._predict(first),
            "p2": self._predict(second),
            "target1": self.target(first, training=True),
            "target2": self.target(second, training=True),
        }

    def objective(self, outputs: Outputs) -> Scalars:
        # Both directions, summed as in the authors' code.
        loss = losses.byol_regression(outputs["p1"], outputs["target2"])
        loss += losses.byol_regression(outputs["p2"], outputs["target1"])
        return {"loss": loss}

    def _predict(self, images: tf.Tensor) -> Any:
        z = self.projector(self.encoder(images, training=True), training=True)
        return self.predictor(z, training=True)
