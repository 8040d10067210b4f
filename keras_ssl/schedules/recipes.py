"""What recipes name: schedules in epochs, which a run's clock makes curves."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.schedules.clock import Clock, Schedule, Value
from keras_ssl.schedules.curves import (
    CosineMomentum,
    CosineSchedule,
    LinearWarmup,
    WarmupCosine,
)


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
    return _Thawed(clock.steps(epochs), then(clock))


@dataclasses.dataclass(frozen=True)
class _Thawed:
    """0 for some steps, then a function of the step as if it had run all along."""

    steps: int
    value: Value

    @property
    def warmup_steps(self) -> int:
        """Steps until the value is what it rises to."""
        return max(self.steps, getattr(self.value, "warmup_steps", 0))

    def __call__(self, step: Any) -> tf.Tensor:
        return tf.where(tf.cast(step, tf.float32) < self.steps, 0.0, self.value(step))


@register("schedule")
def fixed(clock: Clock, base: float) -> Value:
    """The same value at every step.

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


def from_epoch(epoch: float) -> Schedule:
    """A schedule of whether an epoch has been reached, such as a queue's first use.

    Args:
        epoch: From 0; may be a fraction.

    Returns:
        A schedule whose values are scalar bools.
    """

    def schedule(clock: Clock) -> Value:
        start = clock.steps(epoch)
        return lambda step: tf.cast(step, tf.int64) >= start

    return schedule
