"""What DINO and its heirs share: a slow target, a center, and a loss between views."""

import keras
import tensorflow as tf

from keras_ssl import losses, ops
from keras_ssl.core import checks
from keras_ssl.memory.center import Center
from keras_ssl.memory.ema import Ema
from keras_ssl.methods.base import Method, Outputs, Pictures, Scalars
from keras_ssl.metrics.signs import information, logged
from keras_ssl.schedules import Schedule

# Views that the target sees; the first ones.
GLOBAL = 2


class SelfDistillation(Method):
    """Predicts the target's centered and sharpened outputs across views.

    `forward` returns `student` `(n, v, k)` and `teacher` `(n, 2, k)` logits, and
    `images` `(n, h, w, 3)`, the first view.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` logits.
        momentum: Schedule of the share that the target keeps at each step.
        teacher_temperature: Schedule of the divisor of the target's logits.
        student_temperature: Positive divisor of the online logits, the greater one.
        center_momentum: Share of the center that is kept at each step, in [0, 1].

    Raises:
        ValueError: If a temperature or momentum is out of range.
    """

    num_views = GLOBAL
    year = 2021
    family = "self-distillation"
    spans = "local"
    shows = "attention_maps"
    signs = (
        information(
            lambda method, outputs: method.probabilities(outputs["teacher"][:, 0]),
            "the target says the same of all images: with an entropy near 0 centering "
            "is too weak, near the greatest one the target's temperature is too high.",
        ),
        logged("teacher_entropy"),
        logged("kl"),
    )

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        momentum: Schedule,
        teacher_temperature: Schedule,
        student_temperature: float = 0.1,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__(encoder)
        checks.positive(student_temperature=student_temperature)
        self.projector = projector
        self.target = Ema([encoder], momentum)
        self.target_projector = Ema([projector], momentum)
        self.center = Center(center_momentum)
        self.teacher_temperature = teacher_temperature
        self.student_temperature = student_temperature
        # A ViT that does takes seeds, and has nothing else that training changes.
        self.drops_paths = bool(getattr(encoder, "drop_path", 0.0))

    @property
    def product(self) -> keras.Model:
        """The target's encoder, as the papers evaluate."""
        return self.target.copies[0]

    def probabilities(self, teacher: tf.Tensor) -> tf.Tensor:
        """What the target says of images, from its logits `(n, k)`."""
        temperature = self.now(self.teacher_temperature)
        return tf.nn.softmax((teacher - self.center(teacher)) / temperature)

    def objective(self, outputs: Outputs) -> Scalars:
        student, teacher = (
            tf.transpose(outputs[name], [1, 0, 2]) for name in ("student", "teacher")
        )
        temperature = self.now(self.teacher_temperature)
        center = self.center(teacher)
        loss = losses.dino(
            student, teacher, center, self.student_temperature, temperature
        )
        entropy = losses.teacher_entropy(teacher, center, temperature)
        return {"loss": loss, "teacher_entropy": entropy, "kl": loss - entropy}

    def remember(self, outputs: Outputs) -> None:
        self.center.update(outputs["teacher"])

    def pictures(self, outputs: Outputs) -> Pictures:
        """What the target's class token attends to, where it has one."""
        encoder, images = self.product, outputs["images"]
        if not hasattr(encoder, "attention"):
            return {}
        attention = encoder.attention(images)
        return ops.attention_pictures(images, attention, encoder.patch_size)
