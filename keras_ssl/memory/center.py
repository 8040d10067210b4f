"""The running mean of a target's logits: what keeps DINO from one output for all."""

from typing import Any

import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.memory.base import Memory


class Center(Memory):
    """A slow mean of logits over the global batch (DINO, eq. 4).

    `center(logits)` gives it as it was before these logits are seen, as in
    facebookresearch/dino main_dino.py, where it moves after its use.

    Args:
        momentum: Share that is kept at each step, in [0, 1].
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If `momentum` is out of range.
    """

    def __init__(self, momentum: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}.")
        self.momentum = momentum

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.mean = self.add_weight(
            name="mean",
            shape=(input_shape[-1],),
            initializer="zeros",
            trainable=False,
        )

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """The center, `(k,)` float32, without gradient."""
        del logits
        return tf.stop_gradient(tf.convert_to_tensor(self.mean))

    def update(self, logits: tf.Tensor) -> None:
        """Moves it towards the mean over all but the last axis, of all replicas.

        Args:
            logits: `(n, ..., k)`, the target's.
        """
        axes = list(range(logits.shape.rank - 1))
        now = distribute.mean(tf.reduce_mean(tf.cast(logits, tf.float32), axes))
        kept = self.momentum * tf.convert_to_tensor(self.mean)
        self.mean.assign(kept + (1.0 - self.momentum) * now)
