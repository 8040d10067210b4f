"""Takes one step apart: its tensors in the order of computation, with their ranges."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import distribute, tracing
from keras_ssl.methods.base import Method


@dataclasses.dataclass(frozen=True)
class Part:
    """A tensor of a step.

    Attributes:
        what: In words, such as `the output of encoder/stem/conv`.
        shape: Its shape.
        low: Least finite entry; NaN where there is none.
        high: Greatest finite entry; NaN where there is none.
        bad: Share of entries that are no finite numbers.
        kind: What these are: `NaN`, `infinite` or both.
        rows: Examples with such entries, where axis 0 are examples.
        beside: What it was made from: the range of a layer's input and weights.
    """

    what: str
    shape: tuple[int, ...]
    low: float
    high: float
    bad: float
    kind: str = ""
    rows: tuple[int, ...] = ()
    beside: tuple["Part", ...] = ()

    def __str__(self) -> str:
        shape = f" {list(self.shape)}" if self.shape else ""
        known = f"in [{self.low:.4g}, {self.high:.4g}]"
        if not self.shape:
            known = f"= {self.low:.6g}"
        share = f"{self.bad:.2%} " if self.bad < 1 else ""
        bad = f"{share}{self.kind}" if self.bad else ""
        both = [bad] * bool(bad) + [known] * (self.bad < 1)
        return f"{self.what}{shape} {', '.join(both)}"


def is_float(value: Any) -> bool:
    """Whether an array holds floats, of TensorFlow's own kinds too."""
    return tf.as_dtype(value.dtype).is_floating


def part(what: str, x: Any, examples: int = 0, beside: Sequence[Part] = ()) -> Part:
    """Measures a tensor.

    Args:
        what: What to call it.
        x: Any float tensor, variable or gradient.
        examples: Number of examples; rows are told where axis 0 is a multiple of it.
        beside: What it was made from.
    """
    value = np.asarray(tf.cast(tf.convert_to_tensor(x), tf.float32))
    finite = np.isfinite(value)
    known = value[finite]
    low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
    rows: tuple[int, ...] = ()
    if examples and value.ndim and value.shape[0] % examples == 0 and not finite.all():
        # Views one after the other: row `i` is example `i % examples`.
        bad = ~finite.reshape(value.shape[0], -1).all(axis=1)
        rows = tuple(int(i) for i in np.unique(np.flatnonzero(bad) % examples))
    return Part(
        what,
        value.shape,
        float(low),
        float(high),
        float(1.0 - finite.mean()) if value.size else 0.0,
        " and ".join(
            kind
            for kind, has in (("NaN", np.isnan), ("infinite", np.isinf))
            if has(value).any()
        ),
        rows,
        tuple(beside),
    )


def of_step(method: Method, batch: dict[str, Any]) -> Iterator[Part]:
    """The parts of a step before its update, in the order of computation.

    The whole batch is gone through at once, eagerly, on one device, and no state of
    the method changes. A layer's output comes once the layers within it are through.

    Args:
        method: Set up and compiled.
        batch: The global batch.

    Yields:
        The batch's views; outputs of layers and of `forward`; what the objective
        returns; and gradients by these, backwards, and by the weights. Those of a loss
        scale are scaled.
    """
    count = int(batch["seed"].shape[0])
    for i, view in enumerate(batch["views"]):
        yield part(f"view {i + 1} of the batch", view, count)
    names = tracing.named_layers(method)
    calls: list[tuple[Any, Sequence[tf.Tensor], tf.Tensor]] = []

    def note(layer: Any, given: Any, made: Any) -> None:
        known = {id(x) for _, _, x in calls}
        for x in _floats(made):
            if id(x) not in known:
                calls.append((layer, _floats(given), x))

    variables = method.trainable_variables
    with distribute.alone(), keras.StatelessScope(), _watched(note):
        with tf.GradientTape() as tape:
            outputs = method._outputs(batch)
            scalars = method._scalars(outputs)
            loss = method.optimizer.scale_loss(scalars["loss"])
        floats = {k: x for k, x in outputs.items() if x.dtype.is_floating}
        sources = ([*floats.values()], [x for _, _, x in calls], list(variables))
        found = tape.gradient(loss, sources)
    for layer, given, made in calls:
        name = names.get(id(layer), layer.name)
        yield part(f"the output of {name}", made, count, _beside(layer, given, count))
    for name, x in floats.items():
        yield part(f"forward's {name!r}", x, count)
    for name, x in sorted(scalars.items(), key=lambda item: item[0] == "loss"):
        yield part(f"the objective's {name!r}", x)
    yield from _backwards(found, list(floats), calls, names, method, count)


def _backwards(
    found: Any,
    outputs: Sequence[str],
    calls: Sequence[tuple[Any, Any, Any]],
    names: dict[int, str],
    method: Method,
    count: int,
) -> Iterator[Part]:
    """Gradients in the order in which they are computed."""
    by_outputs, by_calls, by_variables = found
    for name, gradient in zip(outputs, by_outputs, strict=True):
        if gradient is not None:
            yield part(f"the gradient by forward's {name!r}", gradient, count)
    for (layer, _, _), gradient in reversed([*zip(calls, by_calls, strict=True)]):
        if gradient is not None:
            name = names.get(id(layer), layer.name)
            yield part(f"the gradient by the output of {name}", gradient, count)
    paths = {id(v): k for k, v in tracing.named_variables(method).items()}
    pairs = zip(method.trainable_variables, by_variables, strict=True)
    for variable, gradient in reversed([*pairs]):
        if gradient is not None:
            yield part(f"the gradient of {paths[id(variable)]}", gradient)


def of_state(variables: dict[str, keras.Variable]) -> Iterator[Part]:
    """Variables after an update: weights, slots of the optimizer, memories."""
    for name, variable in variables.items():
        value = tf.convert_to_tensor(variable.value)
        if value.dtype.is_floating:
            yield part(f"the updated {name}", value)


def _beside(layer: Any, given: Sequence[tf.Tensor], count: int) -> list[Part]:
    found = [part("its input", x, count) for x in given]
    mine = [v for v in layer.variables if "float" in v.dtype]
    return found + [part(f"its {v.name}", v.value) for v in mine[:4]]


def _floats(nest: Any) -> list[tf.Tensor]:
    flat = tf.nest.flatten(nest)
    return [x for x in flat if tf.is_tensor(x) and x.dtype.is_floating]


@contextlib.contextmanager
def _watched(note: Any) -> Iterator[None]:
    """Calls `note(layer, arguments, output)` after every call of a layer."""
    real = keras.layers.Layer.__call__

    def call(layer: Any, *given: Any, **named: Any) -> Any:
        made = real(layer, *given, **named)
        note(layer, given, made)
        return made

    keras.layers.Layer.__call__ = call
    try:
        yield
    finally:
        keras.layers.Layer.__call__ = real
