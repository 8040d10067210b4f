"""MoCo v3: Chen et al. 2021, https://arxiv.org/abs/2104.02057."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.memory.ema import Ema
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING
from keras_ssl.schedules import Schedule


@register("method")
class MoCoV3(Method):
    """Finds the key of the other view, made by a slow target, among the batch's keys.

    Without a queue, and with a predictor on the online branch. ViTs are stable if
    their patch projection stays as it was drawn: `ViT.freeze_patches`.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections.
        predictor: Maps online projections to `(n, k)` predictions of the target's.
        momentum: Schedule of the share that the target keeps at each step.
        temperature: Positive divisor of the cosine logits; also a factor of the loss,
            whose chance level is `4 * temperature * log(batch size)`.
        chunk: Keys that queries are compared with at a time, so that a large global
            batch takes little memory in the loss; None for all at once.

    Raises:
        ValueError: If `temperature` or `chunk` is not positive.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2104.02057"
    year = 2021
    family = "instance discrimination"
    spans = "gathers"
    compared = ("q1", "k2")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        predictor: keras.layers.Layer,
        momentum: Schedule,
        temperature: float = 0.2,
        chunk: int | None = None,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        checks.columns(chunk=chunk)
        self.projector = projector
        self.predictor = predictor
        self.target = Ema([encoder, projector], momentum)
        self.temperature = temperature
        self.chunk = chunk

    def forward(self, batch: Batch) -> Outputs:
        # A pass for each view, as the authors': each has its own batch statistics.
        first, second = batch["views"][:2]
        return {
            "q1": self._predict(first),
            "q2": self._predict(second),
            "k1": self.target(first, training=True),
            "k2": self.target(second, training=True),
        }

    def objective(self, outputs: Outputs) -> Scalars:
        views = {name: outputs[name] for name in ("q1", "q2", "k1", "k2")}
        # The accuracy is of one direction; a sudden dip is how an unstable ViT shows.
        return losses.moco_v3_with_accuracy(
            **views, temperature=self.temperature, chunk=self.chunk
        )

    def _predict(self, images: tf.Tensor) -> tf.Tensor:
        z = self.projector(self.encoder(images, training=True), training=True)
        return self.predictor(z, training=True)
