"""How stored arrays fit a model's variables, by name and shape: one line, or none fit.

Every restore says it, whatever it restores from: see `weights_file.assign`.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SHOWN = 10
# Names that differ by a letter or a part are alike, `bias` and `gamma` are not.
_ALIKE = 0.8


@dataclasses.dataclass(frozen=True)
class Audit:
    """What was found, every name in one place only.

    Attributes:
        total: Number of variables.
        matched: Names that are in both, of one shape.
        missing: Variables that have no array.
        unexpected: Arrays that have no variable.
        misshapen: By name in both, its two shapes in words.
        kept: Excepted variables, which keep their initial values.
        left_out: Excepted arrays that have no variable.
    """

    total: int
    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kept: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether everything that is not excepted matches."""
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        text = (
            f"{len(self.matched)} of {self.total} variables matched, "
            f"{len(self.missing)} missing{_listed(self.missing)}, "
            f"{len(self.unexpected)} unexpected{_listed(self.unexpected)}, "
            f"{len(self.misshapen)} of other shape"
            f"{_listed([f'{n} {why}' for n, why in self.misshapen.items()])}"
        )
        for names, what in (
            (self.kept, "excepted, which keep their initial values"),
            (self.left_out, "excepted in the file, which are left out"),
        ):
            text += f"; {len(names)} {what}{_listed(names)}" if names else ""
        return text

    def hint(self) -> str:
        """' Is a b's new name?' for names that are nearly the same; or nothing."""
        found = []
        for name in self.missing[:_SHOWN]:
            near = difflib.get_close_matches(name, self.unexpected, 1, _ALIKE)
            found += [f"{near[0]!r} in the file may be {name!r}" for _ in near]
        return f" Were they renamed? {'; '.join(found[:3])}." if found else ""


def compare(
    variables: Mapping[str, Any],
    arrays: Mapping[str, Any],
    exceptions: Sequence[str] = (),
) -> Audit:
    """Compares names and shapes.

    Args:
        variables: What is to be filled, by name.
        arrays: What there is.
        exceptions: Patterns for `re.search` on names, which are then neither filled nor
            asked for.

    Returns:
        The audit.

    Raises:
        ValueError: If a pattern is no regular expression or fits no name.
    """
    out = _excepted(exceptions, {**variables, **arrays})
    both = [name for name in variables if name in arrays and name not in out]
    misshapen = {
        name: f"{_shape(arrays[name])} instead of {_shape(variables[name])}"
        for name in sorted(both)
        if _shape(arrays[name]) != _shape(variables[name])
    }
    return Audit(
        total=len(variables),
        matched=tuple(name for name in both if name not in misshapen),
        missing=tuple(sorted(set(variables) - set(arrays) - out)),
        unexpected=tuple(sorted(set(arrays) - set(variables) - out)),
        misshapen=misshapen,
        kept=tuple(sorted(out & set(variables))),
        left_out=tuple(sorted(out - set(variables))),
    )


def few(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _listed(names: Sequence[str]) -> str:
    return f" ({few(names)})" if names else ""


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape)


def _excepted(patterns: Iterable[str], names: Iterable[str]) -> set[str]:
    """Names that a pattern fits."""
    known, found = sorted(names), set()
    for pattern in patterns:
        try:
            fits = {name for name in known if re.search(pattern, name)}
        except re.error as error:
            raise ValueError(
                f"The exception {pattern!r} is no regular expression: {error}."
            ) from error
        if not fits:
            near = difflib.get_close_matches(pattern, known, 1, 0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"The exception {pattern!r} fits no name, neither of the model nor of "
                f"the file, such as {few(known)}.{hint}"
            )
        found |= fits
    return found
