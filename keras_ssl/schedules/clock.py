"""How long a run is, and what makes its schedules functions of the step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Value = Callable[[Any], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Clock:
    """How long training is: the only converter of epochs to steps.

    Args:
        total_steps: Steps of the whole run.
        steps_per_epoch: Steps of one pass over the data.
        examples: Images of the training set; 0 where nobody asks for them.
    """

    total_steps: int
    steps_per_epoch: int
    examples: int = 0

    def steps(self, epochs: float) -> int:
        """Steps in a number of epochs, which need not be whole."""
        return round(epochs * self.steps_per_epoch)


# What a recipe gives: a run's clock makes it a function of the step.
Schedule = Callable[[Clock], Value]


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Adapts a function of the step to Keras: where the two conventions meet.

    Args:
        value: Function of the step.
    """

    def __init__(self, value: Value) -> None:
        self.value = value

    def __call__(self, step: Any) -> tf.Tensor:
        return self.value(step)
