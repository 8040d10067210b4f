"""Values that change during training, as pure functions of the step.

Recipes speak epochs. A `Schedule` in a recipe is a factory that a `Clock` turns into
a function of the step: `schedule(clock)(step)`. The functions themselves count in
steps, as the papers' code does.
"""

from keras_ssl.schedules.clock import Clock, LearningRate, Schedule, Value
from keras_ssl.schedules.curves import (
    CosineMomentum,
    CosineSchedule,
    LinearWarmup,
    WarmupCosine,
)
from keras_ssl.schedules.recipes import (
    cosine,
    cosine_between,
    cosine_momentum,
    fixed,
    from_epoch,
    frozen,
    linear_warmup,
    staircase,
)

__all__ = [
    "Clock",
    "CosineMomentum",
    "CosineSchedule",
    "LearningRate",
    "LinearWarmup",
    "Schedule",
    "Value",
    "WarmupCosine",
    "cosine",
    "cosine_between",
    "cosine_momentum",
    "fixed",
    "from_epoch",
    "frozen",
    "linear_warmup",
    "staircase",
]
