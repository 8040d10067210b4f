"""Which version wrote a run, and whether this one can read it."""

from collections.abc import Mapping
from typing import Any

import keras_ssl

# Raised when an older version could misread what is written. 1: runs without a number.
FORMAT = 2
# What the shipped configurations bind since a format: a run of before has it not.
_BOUND_SINCE = {2: ("train.health",)}


def stamp() -> dict[str, Any]:
    """What is written beside everything that a later version may read."""
    return {"format": FORMAT, "written_by": keras_ssl.__version__}


def check(content: Mapping[str, Any], path: Any) -> None:
    """Refuses what a later version wrote.

    Args:
        content: With its stamp, or without one if an early version wrote it.
        path: Where it was read.

    Raises:
        ValueError: If its format is newer than this version's.
    """
    found = content.get("format", 1)
    if found > FORMAT:
        raise ValueError(
            f"{path} has format {found}, written by keras_ssl {content['written_by']}; "
            f"this is {keras_ssl.__version__}, which reads formats up to {FORMAT}. "
            "Install that version or a later one."
        )


def bound_since(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Bindings that a run cannot have had, as its version knew nothing of them.

    Args:
        content: What the run wrote, with its stamp or without one.
    """
    found = content.get("format", 1)
    return tuple(n for f, names in _BOUND_SINCE.items() if f > found for n in names)


def hint(content: Mapping[str, Any]) -> str:
    """A sentence on who wrote it, where that was another version; else ''."""
    version = content.get("written_by", "of before versions were noted")
    if version == keras_ssl.__version__:
        return ""
    return f" It was written by keras_ssl {version}; this is {keras_ssl.__version__}."
