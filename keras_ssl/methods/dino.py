"""DINO: Caron et al. 2021, https://arxiv.org/abs/2104.14294."""

import keras
import tensorflow as tf

from keras_ssl.core import randomness
from keras_ssl.core.registry import register
from keras_ssl.methods import multi_crop
from keras_ssl.methods.base import Batch, Outputs
from keras_ssl.methods.self_distillation import GLOBAL, SelfDistillation


@register("method")
class DINO(SelfDistillation):
    """Predicts what a slow target makes of the global views from all other views.

    The paper calls the branches student and teacher. Subtracting a running mean from
    the target's logits keeps any output from winning, and a low temperature keeps all
    from being equal. The first two views are the global ones.

    As in the authors' code the target's ViT drops no paths, and batch norms of its
    ResNet take statistics of its own batches.

    Args:
        encoder: Maps images to `(n, d)` features; a ViT may drop paths.
        projector: Maps features to `(n, k)` logits, such as a `DINOHead`.
        momentum: Schedule of the share that the target keeps at each step.
        teacher_temperature: Schedule of the divisor of the target's logits.
        student_temperature: Positive divisor of the online logits, the greater one.
        center_momentum: Share of the center that is kept at each step, in [0, 1].

    Raises:
        ValueError: If a temperature or momentum is out of range.
    """

    paper = "https://arxiv.org/abs/2104.14294"

    def forward(self, batch: Batch) -> Outputs:
        views = batch["views"]
        seeds = tf.unstack(randomness.view_seeds(batch["seed"], len(views)), axis=1)
        online = multi_crop.by_size(self._features, views, seeds)
        target = multi_crop.by_size(
            lambda images: self.target(images, training=not self.drops_paths),
            views[:GLOBAL],
        )
        features = tf.stack(online, axis=1)
        return {
            "student": _each(self.projector, features),
            "teacher": _each(self.target_projector, tf.stack(target, axis=1)),
            "features": features[:, :GLOBAL],
            "images": views[0],
        }

    def _features(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        seeded = {"seeds": seeds} if self.drops_paths else {}
        return self.encoder(images, training=True, **seeded)


def _each(projector: keras.layers.Layer, features: tf.Tensor) -> tf.Tensor:
    """Logits `(n, v, k)` of features `(n, v, d)`; one batch for its batch norms."""
    logits = projector(tf.reshape(features, [-1, features.shape[-1]]), training=True)
    return tf.reshape(logits, [-1, features.shape[1], logits.shape[-1]])
