"""Values that change during training, as pure functions of the step.

Recipes speak epochs. A `Schedule` in a recipe is a factory that a `Clock` turns into
a function of the step: `schedule(clock)(step)`. The functions themselves count in
steps, as the papers' code does.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register

Value = Callable[[Any], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Clock:
    """How long training is: the only converter of epochs to steps.

    Args:
        total_steps: Steps of the whole run.
        steps_per_epoch: Steps of one pass over the data.
    """

    total_steps: int
    steps_per_epoch: int

    def steps(self, epochs: float) -> int:
        """Steps in a number of epochs, which need not be whole."""
        return round(epochs * self.steps_per_epoch)


# What a recipe gives: a run's clock makes it a function of the step.
Schedule = Callable[[Clock], Value]


@dataclasses.dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up from 0, then half a cosine (SimCLR, BYOL, MoCo v3, Barlow Twins).

    The peak is reached at `step == warmup_steps`.

    Args:
        base_learning_rate: The peak.
        total_steps: Step at which the cosine ends; the value stays there.
        warmup_steps: Steps of warm-up.
        final_learning_rate: Value at the end.
    """

    base_learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    final_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps <= self.total_steps:
            raise ValueError(
                "warmup_steps must lie in [0, total_steps]; received "
                f"warmup_steps={self.warmup_steps}, total_steps={self.total_steps}. "
                "Shorten the warm-up or train for longer."
            )

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        span = max(1, self.total_steps - self.warmup_steps)
        progress = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
        cosine = 0.5 * (1.0 + tf.cos(math.pi * progress))
        base, final = self.base_learning_rate, self.final_learning_rate
        ramp = base * step / max(1, self.warmup_steps)
        return tf.where(step < self.warmup_steps, ramp, final + (base - final) * cosine)


@dataclasses.dataclass(frozen=True)
class CosineMomentum:
    """Momentum of a target that rises from `base_momentum` to 1 along a cosine.

    BYOL, eq. in section 3.2: `1 - (1 - base) * (cos(pi * k / K) + 1) / 2`.

    Args:
        base_momentum: Share kept by the target at the first step, in [0, 1].
        total_steps: Step at which it reaches 1.
    """

    base_momentum: float
    total_steps: int

    def __call__(self, step: Any) -> tf.Tensor:
        progress = tf.cast(step, tf.float32) / max(1, self.total_steps)
        progress = tf.clip_by_value(progress, 0.0, 1.0)
        share = 0.5 * (1.0 + tf.cos(math.pi * progress))
        return 1.0 - (1.0 - self.base_momentum) * share


@register("schedule")
def cosine(
    clock: Clock,
    base: float,
    final: float = 0.0,
    warmup_epochs: float = 0.0,
) -> WarmupCosine:
    """Linear warm-up, then half a cosine to the end of the run.

    Args:
        clock: Length of the run.
        base: Peak value.
        final: Value at the end.
        warmup_epochs: Epochs of warm-up; may be a fraction.

    Returns:
        The function of the step.
    """
    warmup = min(clock.steps(warmup_epochs), clock.total_steps)
    return WarmupCosine(base, clock.total_steps, warmup, final)


@register("schedule")
def constant(clock: Clock, base: float) -> Value:
    """The same value at every step.

    Args:
        clock: Length of the run, not used.
        base: The value.

    Returns:
        The function of the step.
    """
    del clock
    return lambda step: tf.constant(base, tf.float32)


@register("schedule")
def cosine_momentum(clock: Clock, base: float = 0.996) -> CosineMomentum:
    """Momentum of a target network, rising to 1 at the end of the run (BYOL).

    Args:
        clock: Length of the run.
        base: Momentum at the first step, in [0, 1].

    Returns:
        The function of the step.
    """
    if not 0.0 <= base <= 1.0:
        raise ValueError(f"base momentum must be in [0, 1], got {base}.")
    return CosineMomentum(base, clock.total_steps)


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Adapts a function of the step to Keras: where the two conventions meet.

    Args:
        value: Function of the step.
    """

    def __init__(self, value: Value) -> None:
        self.value = value

    def __call__(self, step: Any) -> tf.Tensor:
        return self.value(step)
