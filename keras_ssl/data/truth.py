"""What is true of each place of an image: classes, distances, or boxes of objects."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

KINDS = ("mask", "depth", "boxes")
# A pixel of a mask that counts neither way, as in VOC and Cityscapes.
IGNORED = 255
_ASKED = {
    "mask": "tfds:NAME?mask=FEATURE, tfds:NAME?instances=FEATURE or "
    "embedded:32?truth=mask",
    "depth": "tfds:NAME?depth=FEATURE or embedded:32?truth=depth",
    "boxes": "tfds:NAME?boxes=FEATURE&box_label=FEATURE or embedded:32?truth=boxes",
}


@dataclasses.dataclass(frozen=True)
class Truth:
    """Reads what is true of an image of a source, by the image's index.

    Attributes:
        kind: `mask`, `depth` or `boxes`.
        read: Maps one scalar int64 index to the truth of that image. A mask is
            `(h, w)` int32 class numbers, 255 where a pixel does not count; depth
            `(h, w)` float32, positive and of any unit, 0 where it is unknown; boxes are
            a pair of `(m, 4)` float32 `[ymin, xmin, ymax, xmax]` in [0, 1] and `(m,)`
            int64 class numbers.
        classes: Names of the classes, or None where they are not known; depth has
            none.
    """

    kind: str
    read: Callable[[tf.Tensor], Any]
    classes: tuple[str, ...] | None = None

    def at(self, index: tf.Tensor) -> "Truth":
        """The same for images chosen by `index`, `(n,)` int64, and numbered anew."""
        return dataclasses.replace(self, read=lambda i: self.read(tf.gather(index, i)))

    def digest(self, index: int) -> bytes:
        """What tells an image's truth from others, for fingerprints."""
        try:
            found = tf.nest.flatten(self.read(tf.constant(index, tf.int64)))
        except tf.errors.OpError:
            return b"unreadable"
        values = b"".join(np.ascontiguousarray(x).tobytes() for x in found)
        return f"{self.kind} {self.classes}".encode() + values


def needed(truth: Truth | None, who: str, kind: str, name: str) -> Truth:
    """A source's truth of a kind.

    Args:
        truth: What the source has.
        who: Who wants it, for the error.
        kind: Which kind, see `Truth`.
        name: What the source is called.

    Raises:
        ValueError: If it has none, or of another kind.
    """
    if truth is None or truth.kind != kind:
        has = "none" if truth is None else f"{truth.kind} instead"
        raise ValueError(
            f"{who} needs the {kind} of each image, and {name!r} has {has}. Say which "
            f"feature holds it: {_ASKED[kind]}."
        )
    return truth


def check_same(train: Truth | None, test: Truth | None) -> None:
    """Refuses two splits whose truths are not of the same kind and classes.

    Raises:
        ValueError: If they are not.
    """
    one, other = (None if t is None else (t.kind, t.classes) for t in (train, test))
    if one != other:
        raise ValueError(
            f"Train has the truth {_said(train)} and test {_said(test)}; both must "
            "have the same kind and classes."
        )


def _said(truth: Truth | None) -> str:
    if truth is None:
        return "'none'"
    names = f" of {', '.join(truth.classes)}" if truth.classes else ""
    return f"'{truth.kind}{names}'"
