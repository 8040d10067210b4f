"""RotNet: Gidaris et al. 2018, https://arxiv.org/abs/1803.07728."""

import keras
import tensorflow as tf

from keras_ssl import losses, ops
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import above_chance


@register("method")
class RotNet(Method):
    """Tells by how many quarter turns an image was rotated.

    Every image is seen in all four turns in one batch, as in the authors' code.

    Args:
        encoder: Maps images to `(n, d)` features.
        classifier: Maps features to the `(n, 4)` scores of the turns.
    """

    num_views = 1
    paper = "https://arxiv.org/abs/1803.07728"
    year = 2018
    family = "pretext"
    spans = "local"
    signs = (above_chance(4, "turns are guessed; look at the rate.", times=1.15),)

    def __init__(self, encoder: keras.Model, classifier: keras.layers.Layer) -> None:
        super().__init__(encoder)
        self.classifier = classifier

    def forward(self, batch: Batch) -> Outputs:
        images = batch["views"][0]
        turned = tf.concat([ops.rotate_quarter(images, k) for k in range(4)], axis=0)
        features = self.encoder(turned, training=True)
        scores = self.classifier(features, training=True)
        if scores.shape[-1] != 4:
            raise ValueError(
                "RotNet's classifier must have 4 outputs, one a quarter turn; it has "
                f"{scores.shape[-1]}. For an MLP the last of its widths is 4."
            )
        return {"logits": tf.stack(tf.split(scores, 4), axis=1)}

    def objective(self, outputs: Outputs) -> Scalars:
        return {
            "loss": losses.rotation(outputs["logits"]),
            "accuracy": losses.rotation_accuracy(outputs["logits"]),
        }
