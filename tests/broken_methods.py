"""Methods without what keeps them from collapse: a plugin, see `collapsing.py`."""

import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.methods.byol import BYOL
from keras_ssl.methods.dino import DINO
from keras_ssl.methods.simsiam import SimSiam
from keras_ssl.methods.swav import SwAV


def _cosine(x, y):
    x, y = (tf.math.l2_normalize(z, -1) for z in (x, y))
    return tf.reduce_mean(tf.reduce_sum(x * y, axis=-1))


@register("method")
class SimSiamWithoutStop(SimSiam):
    """SimSiam whose gradient is not stopped.

    Args:
        **parts: Those of SimSiam.
    """

    def __init__(self, encoder, projector, predictor):
        super().__init__(encoder, projector, predictor)

    def objective(self, outputs):
        p1, p2, z1, z2 = (outputs[k] for k in ("p1", "p2", "z1", "z2"))
        loss = -0.5 * (_cosine(p1, z2) + _cosine(p2, z1))
        return super().objective(outputs) | {"loss": loss}


@register("method")
class BYOLWithoutPredictor(BYOL):
    """BYOL whose projections are compared with no predictor between them.

    Args:
        **parts: Those of BYOL.
    """

    def __init__(self, encoder, projector, predictor, momentum):
        super().__init__(encoder, projector, predictor, momentum)

    def _predict(self, images):
        z = self.projector(self.encoder(images, training=True), training=True)
        # Made, so that it is there, and passed over.
        return z + 0.0 * self.predictor(z, training=True)


@register("method")
class DINOWithoutCenter(DINO):
    """DINO whose center stays 0.

    Args:
        **parts: Those of DINO.
    """

    def __init__(
        self, encoder, projector, momentum, teacher_temperature, student_temperature=0.1
    ):
        super().__init__(
            encoder, projector, momentum, teacher_temperature, student_temperature
        )

    def remember(self, outputs):
        """Nothing."""


@register("method")
class SwAVWithoutBalance(SwAV):
    """SwAV whose assignments are not balanced, but what the prototypes prefer.

    Args:
        **parts: Those of SwAV.
    """

    def __init__(self, encoder, projector, prototypes, temperature, epsilon):
        super().__init__(
            encoder, projector, prototypes, temperature=temperature, epsilon=epsilon
        )

    def _assign(self, scores, z):
        return tf.stop_gradient(tf.nn.softmax(scores / self.epsilon))
