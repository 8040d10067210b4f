"""Images by one string: `tfds:cifar10`, `folder:/path`, `embedded:32`.

Every source is random access: an index gives the same image at any time, so that a
run can go on at any step without reading what came before.
"""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssl.core import registry


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a data set.

    Attributes:
        name: The string that it was opened by.
        split: Name of the split, with a range as TFDS writes it.
        count: Number of images.
        shape: `(h, w, 3)`, or None where sizes differ.
        read: Maps indices to images: `(b,)` int64 to `(b, h, w, 3)` uint8 where the
            shape is known, else one scalar index to `(h, w, 3)` uint8.
        labels: `(count,)` int64, or None for a set without labels.
        classes: Names of the classes, or None.
    """

    name: str
    split: str
    count: int
    shape: tuple[int, int, int] | None
    read: Callable[[tf.Tensor], tf.Tensor]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] | None = None

    def fingerprint(self) -> str:
        """Short digest of name, size, labels and a few images."""
        total = hashlib.sha256(f"{self.name} {self.split} {self.count}".encode())
        if self.labels is not None:
            total.update(np.ascontiguousarray(self.labels, np.int64).tobytes())
        for index in np.unique(np.linspace(0, self.count - 1, 16, dtype=np.int64)):
            where = tf.constant([index]) if self.shape else tf.constant(index)
            total.update(self.read(where).numpy().tobytes())
        return total.hexdigest()[:16]

    def need_labels(self, what: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels and class names.

        Raises:
            ValueError: If the set has none; `what` says who wanted them.
        """
        if self.labels is None or self.classes is None:
            raise ValueError(
                f"{what} needs labels, and {self.name!r} (split {self.split!r}) has "
                "none. Give a labelled set, such as tfds:cifar10, embedded:32 or "
                "folder:DIR?labels=folders."
            )
        return self.labels, self.classes


def open_source(name: str, split: str = "train", data_dir: str | None = None) -> Source:
    """Opens a split of a data set.

    Args:
        name: `kind:rest`, the kind being a registered data set: `tfds:NAME`,
            `folder:DIR` (`?labels=folders` where the folders are classes),
            `embedded:32` or `embedded:64`.
        split: Name of the split.
        data_dir: Where TFDS keeps data; its own default if None.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such kind, set or split.
    """
    kind, colon, rest = name.partition(":")
    if not colon or not rest:
        raise ValueError(
            f"Data is named 'kind:name', such as tfds:cifar10, folder:DIR or "
            f"embedded:32; got {name!r}."
        )
    try:
        opener = registry.get("dataset", kind)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} (In {name!r}.)") from error
    return opener(rest, split, data_dir)


def check_classes(train: Source, test: Source) -> None:
    """Refuses two splits whose classes differ.

    Raises:
        ValueError: If they do.
    """
    if train.classes != test.classes:
        raise ValueError(
            f"{train.name!r} has classes {_short(train.classes)}, {test.name!r} has "
            f"{_short(test.classes)}; train and test must have the same."
        )


def _short(classes: tuple[str, ...] | None) -> str:
    names = classes or ()
    return f"{', '.join(names[:5])}{', ...' if names[5:] else ''} ({len(names)})"
