"""SimSiam: Chen and He 2021, https://arxiv.org/abs/2011.10566."""

import keras
import tensorflow as tf

from keras_ssl import losses, metrics
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged


@register("method")
class SimSiam(Method):
    """Predicts one view's projection from the other's, which gets no gradient.

    There is neither a slow target nor a negative: without the predictor or the stopped
    gradient all images collapse to one point. The paper keeps the predictor's rate
    constant, which a recipe says by `train.rates`.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections, with a norm at its end.
        predictor: Maps projections to `(n, k)` predictions of the other view's.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2011.10566"
    year = 2021
    family = "self-distillation"
    spans = "local"
    compared = ("z1", "z2")
    signs = (
        logged(
            "loss",
            warns=(-0.98, None),
            collapsed=(-0.995, None),
            advice="the predictions are all but perfect, which only constants are; is "
            "the gradient stopped at the other view, and the predictor in place?",
        ),
    )

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        predictor: keras.layers.Layer,
    ) -> None:
        super().__init__(encoder)
        self.projector = projector
        self.predictor = predictor

    def forward(self, batch: Batch) -> Outputs:
        # A pass for each view, as facebookresearch/simsiam simsiam/builder.py.
        first, second = batch["views"][:2]
        z1, z2 = self._project(first), self._project(second)
        p1, p2 = (self.predictor(z, training=True) for z in (z1, z2))
        return {"p1": p1, "p2": p2, "z1": z1, "z2": z2}

    def objective(self, outputs: Outputs) -> Scalars:
        return {
            "loss": losses.simsiam(*(outputs[k] for k in ("p1", "p2", "z1", "z2"))),
            "std": metrics.feature_std(outputs["z1"]),
        }

    def _project(self, images: tf.Tensor) -> tf.Tensor:
        return self.projector(self.encoder(images, training=True), training=True)
