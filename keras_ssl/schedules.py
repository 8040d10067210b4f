"""Values that change during training, as pure functions of the step.

Recipes speak epochs. A `Schedule` in a recipe is a factory that a `Clock` turns into
a function of the step: `schedule(clock)(step)`. The functions themselves count in
steps, as the papers' code does.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
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


@dataclasses.dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up from 0, then half a cosine (SimCLR, BYOL, MoCo v3, Barlow Twins).

    The peak is reached at `step == warmup_steps`.

    Args:
        base_learning_rate: The peak.
        total_steps: Step at which the cosine ends; the value stays there.
        warmup_steps: Steps of warm-up.
        final_learning_rate: Value at the end.

    Raises:
        ValueError: If the warm-up is outside the run.
    """

    base_learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    final_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup_steps, self.total_steps)

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        span = max(1, self.total_steps - self.warmup_steps)
        progress = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
        cosine = 0.5 * (1.0 + tf.cos(math.pi * progress))
        base, final = self.base_learning_rate, self.final_learning_rate
        ramp = base * step / max(1, self.warmup_steps)
        return tf.where(step < self.warmup_steps, ramp, final + (base - final) * cosine)


@dataclasses.dataclass(frozen=True)
class CosineSchedule:
    """Half a cosine between two values, after a warm-up in DINO's convention.

    The warm-up ends a step earlier than that of `WarmupCosine`: `base_value` is reached
    at `step == warmup_steps - 1` and taken again at the next one
    (facebookresearch/dino utils.py).

    Args:
        base_value: Value where the cosine begins.
        final_value: Value where it ends; greater ones rise, as DINO's weight decay.
        total_steps: Step at which it ends; the value stays there.
        warmup_steps: Steps of warm-up.
        start_warmup_value: Value at the first step of a warm-up.

    Raises:
        ValueError: If the warm-up is outside the run.
    """

    base_value: float
    final_value: float
    total_steps: int
    warmup_steps: int = 0
    start_warmup_value: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup_steps, self.total_steps)

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        span = max(1, self.total_steps - self.warmup_steps)
        progress = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
        cosine = 0.5 * (1.0 + tf.cos(math.pi * progress))
        base, final, start = self.base_value, self.final_value, self.start_warmup_value
        ramp = start + (base - start) * step / max(1, self.warmup_steps - 1)
        return tf.where(step < self.warmup_steps, ramp, final + (base - final) * cosine)


@dataclasses.dataclass(frozen=True)
class LinearWarmup:
    """A straight line from one value to another, which then stays.

    `final_value` is reached at `step == warmup_steps - 1`.

    Args:
        start_value: Value at the first step of the warm-up.
        final_value: Value after it.
        warmup_steps: Steps of warm-up; 0 for none.
        hold: Steps for which each value is held and which count as one; a pass over
            the data for DINO's teacher temperature.

    Raises:
        ValueError: If `warmup_steps` is negative or `hold` is not positive.
    """

    start_value: float
    final_value: float
    warmup_steps: int
    hold: int = 1

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or self.hold < 1:
            raise ValueError(
                "warmup_steps must be at least 0 and hold at least 1; received "
                f"warmup_steps={self.warmup_steps}, hold={self.hold}."
            )

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(tf.cast(step, tf.int64) // self.hold, tf.float32)
        start, final = self.start_value, self.final_value
        ramp = start + (final - start) * step / max(1, self.warmup_steps - 1)
        return tf.where(step < self.warmup_steps, ramp, final)


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
    """
    warmup = min(clock.steps(warmup_epochs), clock.total_steps)
    return WarmupCosine(base, clock.total_steps, warmup, final)


@register("schedule")
def cosine_between(
    clock: Clock,
    base: float,
    final: float,
    warmup_epochs: float = 0.0,
    start: float = 0.0,
) -> CosineSchedule:
    """Half a cosine from one value to another, up or down (DINO, iBOT).

    Args:
        clock: Length of the run.
        base: Value where the cosine begins, such as a weight decay of 0.04.
        final: Value at the end of the run, such as one of 0.4.
        warmup_epochs: Epochs of linear warm-up; may be a fraction.
        start: Value at the first step of the warm-up.
    """
    warmup = min(clock.steps(warmup_epochs), clock.total_steps)
    return CosineSchedule(base, final, clock.total_steps, warmup, start)


@register("schedule")
def linear_warmup(
    clock: Clock, start: float, final: float, warmup_epochs: int
) -> LinearWarmup:
    """A straight line, epoch by epoch, to a value that stays (DINO's temperature).

    Args:
        clock: Length of the run.
        start: Value in the first epoch.
        final: Value from the last epoch of the warm-up on.
        warmup_epochs: Whole epochs of warm-up.
    """
    return LinearWarmup(start, final, warmup_epochs, clock.steps_per_epoch)


@register("schedule")
def staircase(
    clock: Clock, base: float, epochs: Sequence[float], factor: float = 0.1
) -> Value:
    """A value that is multiplied by a factor at some epochs, as rates often are.

    Args:
        clock: Length of the run.
        base: Value at the start.
        epochs: When it changes.
        factor: What it is multiplied by each time.
    """
    steps = tf.constant([clock.steps(epoch) for epoch in epochs], tf.float32)

    def value(step: Any) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(tf.cast(step, tf.float32) >= steps, tf.float32))
        return base * factor**passed

    return value


@register("schedule")
def frozen(clock: Clock, epochs: float, then: Schedule) -> Value:
    """0 at first, then another schedule as if it had run all along (SwAV, DINO).

    Args:
        clock: Length of the run.
        epochs: How long the value is 0, at least 0; may be a fraction.
        then: The schedule after that.

    Raises:
        ValueError: If `epochs` is negative.
    """
    if not epochs >= 0:
        raise ValueError(f"epochs must be at least 0, got {epochs}.")
    steps, value = clock.steps(epochs), then(clock)

    def thawed(step: Any) -> tf.Tensor:
        return tf.where(tf.cast(step, tf.float32) < steps, 0.0, value(step))

    return thawed


@register("schedule")
def constant(clock: Clock, base: float) -> Value:
    """The same value at every step; in gin `@schedules.constant`.

    Gin has a `constant` of its own.

    Args:
        clock: Length of the run, not used.
        base: The value.
    """
    del clock
    return lambda step: tf.constant(base, tf.float32)


@register("schedule")
def cosine_momentum(clock: Clock, base: float = 0.996) -> CosineMomentum:
    """Momentum of a target network, rising to 1 at the end of the run (BYOL).

    Args:
        clock: Length of the run.
        base: Momentum at the first step, in [0, 1].
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


def _check_warmup(warmup_steps: int, total_steps: int) -> None:
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            "warmup_steps must lie in [0, total_steps]; received "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}. "
            "Shorten the warm-up or train for longer."
        )
