"""Rates of parts: patterns of names, and what becomes of the rate where they fit."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from keras_ssl.core.registry import register

# A function of the step takes the place of the learning rate; a number multiplies it.
Rate = Callable[[Any], Any] | float


class Share(NamedTuple):
    """How a variable's rate is made.

    Attributes:
        source: Pattern whose function of the step is the rate; None for the
            optimizer's own.
        factor: What it is multiplied by.
    """

    source: str | None = None
    factor: float = 1.0


def share_out(rates: Mapping[str, Rate], names: Sequence[Sequence[str]]) -> list[Share]:
    """Says for each variable how its rate is made.

    Factors that fit a variable are multiplied, with each other and with the function
    where one fits. The order of the patterns has no meaning: gin does not keep it.

    Args:
        rates: By pattern for `re.search` on a variable's names.
        names: Of each trained variable, one or more.

    Returns:
        A share for each variable.

    Raises:
        TypeError: If a rate is neither a function nor a number.
        ValueError: If a pattern is no regular expression or fits no name, two
            functions fit one variable, or a factor is negative.
    """
    shares = [Share()] * len(names)
    for pattern, rate in rates.items():
        check(pattern, rate)
        fits = [any(re.search(pattern, name) for name in each) for each in names]
        if not any(fits):
            raise ValueError(
                f"The rate of {pattern!r} is for no variable that is trained. "
                f"{_known(pattern, [each[0] for each in names])}"
            )
        for i in (i for i, fit in enumerate(fits) if fit):
            if callable(rate):
                if shares[i].source is not None:
                    raise ValueError(
                        f"Both {shares[i].source!r} and {pattern!r} give a schedule of "
                        f"its rate to {names[i][0]!r}. Narrow one of them, such as by "
                        "'^(?!predictor/)', or give a number."
                    )
                shares[i] = shares[i]._replace(source=pattern)
            else:
                shares[i] = shares[i]._replace(factor=shares[i].factor * rate)
    return shares


def check(pattern: str, rate: Any) -> None:
    """Raises an error for a pattern or a rate that cannot be one."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"The pattern {pattern!r} of a rate is no regular expression: {error}."
        ) from error
    if callable(rate):
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise TypeError(
            f"The rate of {pattern!r} must be a schedule (in gin without '()') or a "
            f"number that multiplies the learning rate, got {rate!r}."
        )
    if not rate >= 0.0:
        raise ValueError(
            f"The factor of {pattern!r} for the learning rate must be at least 0, got "
            f"{rate}."
        )


@register("schedule")
def layer_decay(
    factor: float,
    depth: int,
    layers: str = "(^|/)block{}/",
    below: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Rates that fall by a factor from each layer to the one below it (BEiT, DINOv2).

    Of `depth` layers, the one at `i` from 1 learns at `factor ** (depth + 1 - i)` of
    the rate, what is below them at `factor ** (depth + 1)`; all else at the whole rate.

    Args:
        factor: In (0, 1].
        depth: Number of layers.
        layers: Pattern of a layer's variables, with `{}` for its number.
        below: Patterns of what is below them, such as the embedding of patches.
        more: Further rates by pattern; factors that meet are multiplied.

    Returns:
        Rates by pattern, for `set_rates` or `train.rates`.

    Raises:
        ValueError: If `factor` or `depth` is out of range, `layers` has no `{}`, or
            `more` has a pattern that is used here.
    """
    if not 0.0 < factor <= 1.0 or depth < 1:
        raise ValueError(
            "factor must be in (0, 1] and depth at least 1; received "
            f"factor={factor}, depth={depth}."
        )
    if "{}" not in layers:
        raise ValueError(f"layers needs '{{}}' for the number, got {layers!r}.")
    found: dict[str, Any] = dict.fromkeys(below, factor ** (depth + 1))
    for i in range(1, depth + 1):
        found[layers.replace("{}", str(i))] = factor ** (depth + 1 - i)
    if twice := sorted(found.keys() & (more or {}).keys()):
        raise ValueError(f"Patterns of layers stand in `more` too: {twice}.")
    return found | dict(more or {})


def _known(pattern: str, names: list[str]) -> str:
    """What there is, short enough to be read: whole names where they are few."""
    near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.6)
    parts = list(dict.fromkeys("/".join(name.split("/")[:2]) for name in names))
    shown = names if len(names) <= _MANY else parts
    rest = f" and {len(shown) - _MANY} more" if len(shown) > _MANY else ""
    hint = f" Did you mean {near[0]!r}?" if near else ""
    kind = "Variables" if shown is names else "Their names begin with"
    return f"{kind}: {', '.join(shown[:_MANY])}{rest}.{hint}"


_MANY = 24
