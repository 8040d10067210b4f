"""SimCLR: Chen et al. 2020, https://arxiv.org/abs/2002.05709."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING


@register("method")
class SimCLR(Method):
    """Contrasts two views of an image against all other images of the batch.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` space of the loss.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        chunk: Candidates that rows are compared with at a time, such as 2048, so that a
            large global batch takes little memory in the loss; None for all at once.

    Raises:
        ValueError: If `temperature` or `chunk` is not positive.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2002.05709"
    year = 2020
    family = "instance discrimination"
    spans = "gathers"
    compared = ("z1", "z2")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        temperature: float = 0.1,
        chunk: int | None = None,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        checks.columns(chunk=chunk)
        self.projector = projector
        self.temperature = temperature
        self.chunk = chunk

    def forward(self, batch: Batch) -> Outputs:
        # Both views in one pass, and in one batch norm, as google-research/simclr.
        views = tf.concat(batch["views"][:2], axis=0)
        features = self.encoder(views, training=True)
        z1, z2 = tf.split(self.projector(features, training=True), 2)
        return {"z1": z1, "z2": z2}

    def objective(self, outputs: Outputs) -> Scalars:
        z1, z2 = outputs["z1"], outputs["z2"]
        return losses.nt_xent_with_accuracy(z1, z2, self.temperature, chunk=self.chunk)
