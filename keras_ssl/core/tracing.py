"""Variables: made in one symbolic trace, and named the same in every process."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf


def make_variables(function: Callable[[Any], Any], spec: Mapping[str, Any]) -> Any:
    """Traces `function` on symbols, so that every layer in it makes its variables.

    Variables made later, inside a replica's step, would be an error under a
    distribution strategy.

    Args:
        function: Maps a batch to tensors.
        spec: `tf.TensorSpec`s of a batch.

    Returns:
        Symbolic outputs.
    """
    batch = tf.nest.map_structure(
        lambda s: keras.KerasTensor(s.shape, s.dtype.name), dict(spec)
    )
    return _Trace(function).compute_output_spec(batch)


class _Trace(keras.layers.Layer):
    """Lets Keras infer the outputs of any function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__(autocast=False)
        self.function = function

    def call(self, batch: Any) -> Any:
        return self.function(batch)


def named_variables(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Every variable of a layer, by a path that depends on the structure alone.

    Keras's own `path` counts the layers that a process has made (`dense_3`); a
    process that restores may have made others before.

    Args:
        layer: A built layer or model.

    Returns:
        Paths such as `encoder/stem/conv/kernel` and their variables, without the
        name of `layer` itself.
    """
    found: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    for path, variable in _walk(layer, ""):
        if id(variable) not in seen:
            seen.add(id(variable))
            found[_unique(path, found)] = variable
    return found


def named_layers(layer: keras.layers.Layer) -> dict[int, str]:
    """Paths of all layers within a layer, as in its variables' paths, by `id`."""
    found: dict[int, str] = {}

    def walk(parent: keras.layers.Layer, prefix: str) -> None:
        for name, child in _children(parent):
            found.setdefault(id(child), f"{prefix}{name}")
            walk(child, f"{prefix}{name}/")

    walk(layer, "")
    return found


def prefix_of(model: keras.layers.Layer, part: keras.layers.Layer) -> str:
    """What the paths of a part's variables begin with in those of the model.

    Raises:
        ValueError: If the part has no variables in the model.
    """
    names = {id(v): name for name, v in named_variables(model).items()}
    for name, variable in named_variables(part).items():
        whole = names.get(id(variable), "")
        if whole.endswith(name):
            return whole[: len(whole) - len(name)]
    raise ValueError(f"{part.name} is not a part of {model.name}.")


def named_optimizer_variables(
    optimizer: keras.optimizers.Optimizer, names: Mapping[int, str]
) -> dict[str, keras.Variable]:
    """Every variable of an optimizer, slots by the path of the weight they serve.

    Args:
        optimizer: A built optimizer.
        names: Path of each trained weight, by the weight's `id`.

    Returns:
        Paths such as `optimizer/momentums/encoder/stem/conv/kernel`.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:  # A loss scale around the optimizer, for float16.
        found = named_optimizer_variables(inner, names)
        known = {id(v) for v in found.values()}
        for variable in optimizer.variables:
            if id(variable) not in known:
                found[_unique(f"optimizer/{variable.name}", found)] = variable
        return found
    trained = [names[id(v)] for v in optimizer._trainable_variables]
    slots: dict[int, str] = {}
    for attribute, value in vars(optimizer).items():
        is_slot = isinstance(value, list) and len(value) == len(trained)
        if is_slot and attribute != "_trainable_variables":
            slots |= {
                id(v): f"{attribute.strip('_')}/{name}"
                for v, name in zip(value, trained, strict=True)
            }
    found = {}
    for variable in optimizer.variables:
        name = slots.get(id(variable), variable.name)
        found[_unique(f"optimizer/{name}", found)] = variable
    return found


def _walk(
    layer: keras.layers.Layer, prefix: str
) -> Iterator[tuple[str, keras.Variable]]:
    children = list(_children(layer))
    theirs = {id(v) for _, child in children for v in child.variables}
    for name, child in children:
        yield from _walk(child, f"{prefix}{name}/")
    for variable in layer.variables:
        if id(variable) not in theirs:
            yield f"{prefix}{variable.name}", variable


def _children(
    layer: keras.layers.Layer,
) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers right within a layer, by names that do not count a process's."""
    taken: dict[str, None] = {}
    for child in layer._flatten_layers(recursive=False, include_self=False):
        name = _unique(re.sub(r"_\d+$", "", child.name), taken)
        taken[name] = None
        yield name, child


def _unique(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, or `name_2` and so on if it is taken."""
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
