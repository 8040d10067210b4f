"""A run's optimizer: rates and weight decay as a recipe states them."""

from collections.abc import Callable, Mapping

import keras

from keras_ssl.core import tracing
from keras_ssl.methods.base import Method
from keras_ssl.optimizers.base import Optimizer
from keras_ssl.optimizers.rates import Rate, check
from keras_ssl.schedules import Clock, LearningRate, Schedule, Value

SCALES: dict[str, Callable[[int], float]] = {
    "linear": lambda batch_size: batch_size / 256,
    "sqrt": lambda batch_size: batch_size**0.5,
    "none": lambda batch_size: 1.0,
}


def compile_method(
    method: Method,
    clock: Clock,
    optimizer: Callable[..., keras.optimizers.Optimizer],
    value: Value,
    scale: float,
    rates: Mapping[str, Schedule | float] | None = None,
    weight_decay: Schedule | None = None,
    steps_per_execution: int = 1,
) -> None:
    """Gives a method its optimizer, built on all that it trains.

    Args:
        method: Set up already.
        clock: Length of the run.
        optimizer: Makes an optimizer from `learning_rate=`.
        value: Learning rate as a function of the step.
        scale: What it is multiplied by, and rates of parts with it.
        rates: Schedules and factors by pattern; see `Optimizer.set_rates`.
        weight_decay: Takes the place of the optimizer's own.
        steps_per_execution: Steps between returns to Python.

    Raises:
        TypeError: If a rate is neither a schedule nor a number, or the weight decay
            no schedule.
        ValueError: If a pattern fits nothing that is trained, or the optimizer knows
            no rates of parts.
    """
    if weight_decay is not None and not callable(weight_decay):
        raise TypeError(
            "train.weight_decay must be a schedule (in gin without '()'), got "
            f"{weight_decay!r}; a number is for the optimizer, such as "
            "AdamW.weight_decay."
        )
    if rates is not None and not isinstance(rates, Mapping):
        raise TypeError(
            "train.rates must be a mapping from patterns to schedules or numbers, got "
            f"{rates!r}."
        )
    made = optimizer(learning_rate=LearningRate(_scaled(value, scale)))
    if (rates or weight_decay is not None) and not isinstance(made, Optimizer):
        raise ValueError(
            "train.rates and train.weight_decay need an optimizer of keras_ssl "
            f"(AdamW, LAMB, LARS, SGD), got {type(made).__name__}."
        )
    if weight_decay is not None:
        # Not given to the factory: its own binding may stand, and is replaced.
        made.weight_decay = weight_decay(clock)
    method.compile(optimizer=made, steps_per_execution=steps_per_execution)
    # In float16 a loss scale is around the one that was made.
    method.optimizer.build(method.trainable_variables)
    if rates:
        made.set_rates(_functions(rates, clock, scale), names(method))


def names(method: Method) -> dict[str, keras.Variable]:
    """Variables by what a method calls its parts, and by what checkpoints call them.

    `encoder/stem/conv/kernel` and `small_resnet/stem/conv/kernel` are the same one:
    the first fits whatever part a recipe gives.
    """
    parts = {k: v for k, v in vars(method).items() if isinstance(v, keras.layers.Layer)}
    found = {
        f"{part}/{name}": variable
        for part, layer in parts.items()
        for name, variable in tracing.named_variables(layer).items()
    }
    return found | tracing.named_variables(method)


def _functions(
    rates: Mapping[str, Schedule | float], clock: Clock, scale: float
) -> dict[str, Rate]:
    """Schedules become functions of the step; factors stay."""
    found: dict[str, Rate] = {}
    for pattern, rate in rates.items():
        check(pattern, rate)
        found[pattern] = _scaled(rate(clock), scale) if callable(rate) else rate
    return found


def _scaled(value: Value, scale: float) -> Value:
    return lambda step: scale * value(step)
