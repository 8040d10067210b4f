"""Curves of the papers' code, which count in steps."""

import dataclasses
import math
from typing import Any

import tensorflow as tf


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


def _check_warmup(warmup_steps: int, total_steps: int) -> None:
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            "warmup_steps must lie in [0, total_steps]; received "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}. "
            "Shorten the warm-up or train for longer."
        )
