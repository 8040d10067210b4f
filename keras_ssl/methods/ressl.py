"""ReSSL: Zheng et al. 2021, https://arxiv.org/abs/2107.09282."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core.registry import register
from keras_ssl.memory.ema import Ema
from keras_ssl.memory.queue import Queue
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import GUESSING
from keras_ssl.schedules import Schedule


@register("method")
class ReSSL(Method):
    """Relates a strong view to past images as a slow target relates a weak one.

    The paper calls the branches student and teacher. The target's relation is sharper,
    and its view is only cropped and flipped: otherwise nothing is learned.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` space of the loss.
        queue_size: Projections of the target that are kept; a multiple of the batch
            size.
        momentum: Schedule of the share that the target keeps at each step.
        student_temperature: Positive divisor of the online branch's cosines.
        teacher_temperature: Positive divisor of the target's, lower than the other.

    Raises:
        ValueError: If the temperatures are not positive, the target's the lower one.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2107.09282"
    year = 2021
    family = "instance discrimination"
    spans = "local"
    compared = ("query", "key")
    signs = (GUESSING,)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        queue_size: int,
        momentum: Schedule,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
    ) -> None:
        super().__init__(encoder)
        if not 0 < teacher_temperature < student_temperature:
            raise ValueError(
                "teacher_temperature must be positive and below student_temperature; "
                f"received {teacher_temperature} and {student_temperature}."
            )
        self.projector = projector
        self.queue = Queue(queue_size)
        self.target = Ema([encoder, projector], momentum)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature

    def forward(self, batch: Batch) -> Outputs:
        strong, weak = batch["views"][:2]
        features = self.encoder(strong, training=True)
        return {
            "query": self.projector(features, training=True),
            "key": self.target(weak, training=True),
        }

    def objective(self, outputs: Outputs) -> Scalars:
        query, key = (tf.math.l2_normalize(outputs[k], -1) for k in ("query", "key"))
        queue = self.queue(key)
        student, teacher = (
            tf.stop_gradient(tf.matmul(x, queue, transpose_b=True))
            for x in (query, key)
        )
        target = tf.nn.log_softmax(teacher / self.teacher_temperature)
        entropy = -tf.reduce_sum(tf.exp(target) * target, axis=-1)
        same = tf.argmax(student, axis=-1) == tf.argmax(teacher, axis=-1)
        return {
            "loss": losses.ressl(
                query, key, queue, self.student_temperature, self.teacher_temperature
            ),
            # Of the target's relation: log of the queue's size where it says nothing.
            "entropy": tf.reduce_mean(entropy),
            # Views of an image that are nearest to the same past image.
            "accuracy": tf.reduce_mean(tf.cast(same, tf.float32)),
        }

    def remember(self, outputs: Outputs) -> None:
        self.queue.push(tf.math.l2_normalize(outputs["key"], axis=-1))
