"""From a reference's state dict to a model of ours: every name audited, all or nothing.

A converter says for each variable of the model which arrays of the reference it is
made from; this module finds the prefix, checks names, shapes and values, and assigns.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_ssl.core.audit import Audit, compare, few
from keras_ssl.core.tracing import named_variables

# Of two networks in a checkpoint, the one that its authors evaluate.
_PREFERRED = (
    ("teacher.", "student."),  # DINO, iBOT
    ("encoder_q.", "encoder_k."),  # MoCo
    ("base_encoder.", "momentum_encoder."),  # MoCo v3
)


def as_is(x: np.ndarray) -> np.ndarray:
    """The array itself."""
    return x


def conv_kernel(x: np.ndarray) -> np.ndarray:
    """PyTorch's `(out, in, h, w)` to `(h, w, in, out)`."""
    return np.transpose(x, (2, 3, 1, 0))


def dense_kernel(x: np.ndarray) -> np.ndarray:
    """PyTorch's `(out, in)` to `(in, out)`."""
    return np.transpose(x)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a variable is made from.

    Args:
        names: Names in the reference, without a prefix.
        transform: Maps their arrays, in this order, to the variable's value.
    """

    names: tuple[str, ...]
    transform: Callable[..., np.ndarray] = as_is


@dataclasses.dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes:
        audit: Of the model's variables, all of which were filled.
        prefix: What the names of the reference began with.
        ignored: Names below the prefix that were left out on purpose.
        outside: Names that do not begin with the prefix: other networks, optimizers.
    """

    audit: Audit
    prefix: str
    ignored: tuple[str, ...]
    outside: tuple[str, ...]

    @property
    def assigned(self) -> int:
        """Number of variables that were filled."""
        return len(self.audit.matched)

    def __str__(self) -> str:
        text = str(self.audit)
        text += f"; from names under {self.prefix!r}" if self.prefix else ""
        for names, what in ((self.ignored, "ignored"), (self.outside, "outside it")):
            text += f"; {len(names)} names {what} ({few(names)})" if names else ""
        return f"{text}."


def load(
    state_dict: Mapping[str, Any],
    model: keras.Model,
    sources: Mapping[str, Source],
    ignore: Sequence[str] = (),
    marker: str = "",
    prefix: str | None = None,
) -> Report:
    """Fills every variable of a model from a reference's arrays, or none.

    Args:
        state_dict: Names and arrays of the reference.
        model: A built model of ours.
        sources: For each path of `named_variables(model)` what it is made from.
        ignore: Patterns for `re.match` on names without prefix that may stay unused,
            such as counters and the head of a classifier.
        marker: A name that the reference has once, without prefix; finds the prefix.
        prefix: What the names begin with; found through `marker` if None.

    Returns:
        What was done.

    Raises:
        ValueError: If a name is missing or unexpected, or a shape or a value is wrong;
            nothing is assigned then.
    """
    if prefix is None:
        prefix = find_prefix(state_dict, marker) if marker else ""
    inside = {
        name[len(prefix) :]: value
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
    variables = named_variables(model)
    wanted = {name for source in sources.values() for name in source.names}
    spare = sorted(set(inside) - wanted)
    ignored = [n for n in spare if any(re.match(p, n) for p in ignore)]
    values, misfits = _values(variables, sources, inside)
    problems = {
        "missing from it": sorted(wanted - set(inside)),
        "unexpected in it": sorted(set(spare) - set(ignored)),
        "of the model without a source": sorted(set(variables) - set(sources)),
        "that the model does not have": sorted(set(sources) - set(variables)),
        "of a wrong shape or value": misfits,
    }
    if any(problems.values()):
        raise ValueError(_refusal(model, prefix, problems))
    for path, value in values.items():
        variables[path].assign(value)
    outside = [name for name in state_dict if not name.startswith(prefix)]
    return Report(
        compare(variables, values), prefix, tuple(ignored), tuple(sorted(outside))
    )


def find_prefix(names: Iterable[str], marker: str) -> str:
    """What stands before a reference's names: `module.encoder_q.` and the like.

    Args:
        names: All names of a checkpoint.
        marker: The end of one name that the network has once.

    Returns:
        The prefix, empty or ending in a dot.

    Raises:
        ValueError: If no name ends in `marker`, or several networks have one and none
            is known to be the one to take.
    """
    names = list(names)
    found = {n[: -len(marker)] for n in names if f".{n}".endswith(f".{marker}")}
    for better, worse in _PREFERRED:
        if any(better in f for f in found):
            found = {f for f in found if worse not in f}
    if len(found) == 1:
        return found.pop()
    if not found:
        raise ValueError(
            f"The checkpoint has no name that ends in {marker!r}: it is of another "
            f"network, or its names are: {few(sorted(names))}."
        )
    raise ValueError(
        f"The checkpoint holds several networks, under {few(sorted(found))}; say "
        "which with `prefix`."
    )


def flatten(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots; what is no array is left out.

    Args:
        tree: What a checkpoint file holds, such as `{"state_dict": {...}, "epoch": 3}`.
        before: What keys begin with.

    Returns:
        Names and arrays.
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{before}{key}.")
        elif hasattr(value, "shape"):
            found[f"{before}{key}"] = value
    return found


def _values(
    variables: Mapping[str, keras.Variable],
    sources: Mapping[str, Source],
    arrays: Mapping[str, Any],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Values of the variables whose sources are there, and what is wrong with them."""
    values, misfits = {}, []
    for path, source in sources.items():
        known = path in variables and all(name in arrays for name in source.names)
        if not known:
            continue
        given = [np.asarray(arrays[name]) for name in source.names]
        label = f"{' + '.join(source.names)} {[g.shape for g in given]} for {path}"
        try:
            value = source.transform(*given).astype(np.float32)
        except ValueError as error:
            misfits.append(f"{label}: {error}")
            continue
        shape = tuple(variables[path].shape)
        if value.shape != shape:
            misfits.append(f"{label}, which is {shape}")
        elif not np.isfinite(value).all():
            misfits.append(f"{label}: not finite")
        values[path] = value
    return values, misfits


def _refusal(
    model: keras.Model, prefix: str, problems: Mapping[str, Sequence[str]]
) -> str:
    under = f" (names under {prefix!r})" if prefix else ""
    parts = [
        f"{len(names)} {what}: {few(names)}"
        for what, names in problems.items()
        if names
    ]
    return (
        f"The checkpoint{under} does not fit {model.name}. {'; '.join(parts)}. "
        "Nothing was assigned; does the encoder's configuration match the checkpoint?"
    )
