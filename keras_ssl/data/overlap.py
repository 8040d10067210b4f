"""Whether two splits share images, as far as their names tell."""

import re

from keras_ssl.data.sources import Source

_PART = re.compile(r"([^\[\]]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


def check_apart(one: Source, other: Source) -> None:
    """Refuses two splits, such as train and test, that have images in common.

    Args:
        one: A split.
        other: Another one.

    Raises:
        ValueError: If both are of one set and their splits surely share images.
    """
    if one.name == other.name and _share(one.split, other.split):
        raise ValueError(
            f"Splits {one.split!r} and {other.split!r} of {one.name!r} share images, "
            "so the score would say nothing. Take splits apart, such as "
            "'train[:90%]' and 'train[90%:]'."
        )


def _share(one: str, other: str) -> bool:
    """Whether any parts of two splits, written as TFDS does, surely overlap."""
    pairs = ((a, b) for a in one.split("+") for b in other.split("+"))
    return any(_overlap(a.strip(), b.strip()) for a, b in pairs)


def _overlap(one: str, other: str) -> bool:
    found = _PART.fullmatch(one), _PART.fullmatch(other)
    if not all(found) or len({part[1] for part in found if part}) > 1:
        return False
    (a, b), (c, d) = ((part[2], part[3]) for part in found if part)
    return _before(a, d) and _before(c, b)


def _before(start: str | None, end: str | None) -> bool:
    """Whether a place is surely before another; where they cannot be told not."""
    if start is None or end is None:
        # From the very beginning, or to the very end, everything is there.
        return True
    alike = start.endswith("%") == end.endswith("%")
    alike = alike and start.startswith("-") == end.startswith("-")
    return alike and int(start.rstrip("%")) < int(end.rstrip("%"))
