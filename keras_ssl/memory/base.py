"""Things that remember across steps: target networks, queues, banks, centers."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.schedules import Clock, Schedule


class Memory(keras.layers.Layer):
    """A part of a method whose state changes without gradients.

    State is made with `add_weight(trainable=False)` or is itself layers, so it is
    mirrored over replicas and saved. The method's base class calls these hooks, so
    that an author can't forget them.

    Args:
        **kwargs: For `keras.layers.Layer`.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Keras would round what comes in to the compute dtype, images too.
        super().__init__(autocast=False, **kwargs)

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """Makes state that is read in float32 whatever the compute dtype.

        Each replica writes the same numbers into a copy of its own: that sends nothing,
        works within conditions, and a TPU scatters rows into no other kind of variable.
        """
        given = {"autocast": False, "aggregation": "none", **kwargs}
        return super().add_weight(*args, **given)

    def prepare(self, clock: Clock) -> None:
        """Called once, before weights are made.

        Args:
            clock: Length of the run and of the training set.
        """

    def on_built(self) -> None:
        """Called once, when every weight of the method exists."""

    def after_step(self, now: Callable[[Schedule], tf.Tensor]) -> None:
        """Called on each replica after each update of the weights.

        Args:
            now: Maps a schedule to its value at this step.
        """


class Untracked:
    """Holds parts that belong to someone else, so that Keras does not adopt them."""

    def __init__(self, value: Any) -> None:
        self.value = value
