"""Distillation: Chen et al. 2020 (SimCLRv2), https://arxiv.org/abs/2006.10029."""

import keras
import tensorflow as tf

from keras_ssl import losses, metrics
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars


@register("method")
class Distillation(Method):
    """Learns from images without labels what a fine-tuned teacher says of them.

    SimCLRv2's last stage (section 2): the teacher sees the student's view, in inference
    mode, and never changes. `tools/simclr_v2.py` runs all three.

    Args:
        encoder: The student: maps images to `(n, k)` logits, such as a
            `ProjectedEncoder` whose projector is a linear `MLP`.
        teacher: Maps images to `(n, k)` logits, such as `Trained`.
        temperature: Positive divisor of both logits. Lower is sharper.

    Raises:
        TypeError: If `teacher` is no Keras model.
        ValueError: If the two have different numbers of logits.
    """

    num_views = 1
    paper = "https://arxiv.org/abs/2006.10029"
    year = 2020
    family = "distillation"
    spans = "local"

    def __init__(
        self, encoder: keras.Model, teacher: keras.Model, temperature: float = 1.0
    ) -> None:
        super().__init__(encoder)
        if not isinstance(teacher, keras.Model):
            raise TypeError(f"teacher must be a Keras model, got {teacher!r}.")
        widths = [int(model.feature_dim) for model in (encoder, teacher)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"The student has {widths[0]} logits and its teacher {widths[1]}; give "
                "the student's last layer as many, such as by `classes` in its recipe."
            )
        # What a teacher knows is fixed, its norms' statistics too.
        teacher.trainable = False
        self.teacher, self.temperature = teacher, temperature

    def forward(self, batch: Batch) -> Outputs:
        (view,) = batch["views"][:1]
        return {
            "student": self.encoder(view, training=True),
            "teacher": self.teacher(view, training=False),
        }

    def objective(self, outputs: Outputs) -> Scalars:
        student, teacher = outputs["student"], outputs["teacher"]
        agree = tf.equal(tf.argmax(student, -1), tf.argmax(teacher, -1))
        sure = tf.nn.softmax(teacher / self.temperature)
        return {
            "loss": losses.distillation(student, teacher, self.temperature),
            "agreement": tf.reduce_mean(tf.cast(agree, tf.float32)),
            "teacher_entropy": metrics.mean_entropy(sure),
        }
