"""Images by one string: `tfds:cifar10`, `folder:DIR`, `tfrecord:GLOB`, `embedded:32`.

Recordings too: `tfds:NAME?audio=FEATURE`. Where images are said, they are meant too.

Every source is random access: an index gives the same image at any time, so that a
run can go on at any step without reading what came before.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

from keras_ssl.core import registry
from keras_ssl.data import decode, truth
from keras_ssl.data.truth import Truth
from keras_ssl.data.unreadable import Unreadable


class Labels(Protocol):
    """Class numbers, int64: an array, or something that reads them when asked.

    Of a set of several labels an image, a row of signs each; see `Source`.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a data set.

    Attributes:
        name: The string that it was opened by.
        split: Name of the split, with a range as TFDS writes it.
        count: Number of images.
        shape: `(h, w, 3)`, or None where sizes differ.
        read: Maps indices to images: `(b,)` int64 to `(b, h, w, 3)` uint8 where the
            shape is known, else one scalar index to `(h, w, 3)` uint8; of recordings
            one scalar index to the waveform, `(samples,)` int16.
        labels: `(count,)` int64, or None for a set without labels; `(count, classes)`
            int64 where images have several: 1 where an image shows the class, 0 where
            that does not count, else -1.
        classes: Names of the classes, or None.
        encoded: Maps one scalar index to a scalar string, the image's file; None where
            images are held decoded. Training then decodes no more than it shows.
        where: Says in words where the image of an index is.
        unreadable: Images that could not be read so far.
        kind: `image` or `audio`.
        multi_label: Whether an image has any number of labels instead of one.
        max_pixels: Greatest number of pixels of an image file; one that claims more
            cannot be read.
        truth: What is true of places of an image, where that was asked for.
    """

    name: str
    split: str
    count: int
    shape: tuple[int, int, int] | None
    read: Callable[[tf.Tensor], tf.Tensor]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None
    encoded: Callable[[tf.Tensor], tf.Tensor] | None = None
    where: Callable[[int], str] | None = None
    unreadable: Unreadable = dataclasses.field(default_factory=Unreadable)
    kind: str = "image"
    multi_label: bool = False
    max_pixels: int = decode.MOST_PIXELS
    truth: Truth | None = None

    def fingerprint(self) -> str:
        """Short digest of name, size, labels, and a few images with their truth."""
        total = hashlib.sha256(f"{self.name} {self.split} {self.count}".encode())
        index = np.unique(np.linspace(0, self.count - 1, 16, dtype=np.int64))
        if self.labels is not None:
            # All of them where they are at hand.
            held = isinstance(self.labels, np.ndarray)
            labels = self.labels if held else self.labels[index]
            total.update(np.ascontiguousarray(labels, np.int64).tobytes())
        for i in index:
            image = self.try_read(int(i))
            total.update(b"unreadable" if image is None else image.numpy().tobytes())
            total.update(self.truth.digest(int(i)) if self.truth else b"")
        return total.hexdigest()[:16]

    def try_read(self, index: int) -> tf.Tensor | None:
        """One image `(h, w, 3)` uint8, or None if it cannot be read; that is noted."""
        try:
            if self.shape is not None:
                return self.read(tf.constant([index], tf.int64))[0]
            return self.read(tf.constant(index, tf.int64))
        except tf.errors.OpError as error:
            self.note_unreadable(index, error)
            return None

    def note_unreadable(self, index: int, error: Exception | None = None) -> None:
        """Counts an image that cannot be read, and says so once."""
        place = self.where(index) if self.where else f"image {index} of {self.name!r}"
        self.unreadable.add(index, place, error)

    def need_labels(
        self, what: str, several: bool = False
    ) -> tuple[Labels, tuple[str, ...]]:
        """Labels and class names.

        Args:
            what: Who wants them, for the error.
            several: Whether it also takes several labels an image.

        Raises:
            ValueError: If the set has none, or several where one is needed.
        """
        if self.labels is None or self.classes is None:
            raise ValueError(
                f"{what} needs labels, and {self.name!r} (split {self.split!r}) has "
                "none. Give a labelled set, such as tfds:cifar10, embedded:32, "
                "folder:DIR?labels=folders or tfrecord:GLOB?label=FEATURE."
            )
        if self.multi_label and not several:
            raise ValueError(
                f"{what} needs one label an image, and {self.name!r} has any number of "
                f"them, of {len(self.classes)} classes. Score it by svm or transfer, "
                "or read another feature by label=FEATURE."
            )
        return self.labels, self.classes

    def need_truth(self, what: str, kind: str) -> Truth:
        """The `mask`, `depth` or `boxes` of the images, for `what`, who wants it.

        Raises:
            ValueError: If the set has none, or it was not asked for.
        """
        return truth.needed(self.truth, what, kind, self.name)


def open_source(name: str, split: str = "train", data_dir: str | None = None) -> Source:
    """Opens a split of a data set.

    Args:
        name: `kind:rest`, the kind being a registered data set: `tfds:NAME`,
            `folder:DIR` (`?labels=folders` where the folders are classes),
            `tfrecord:GLOB`, `embedded:32` or `embedded:64`. Among the options after
            `?` may be `max_pixels=COUNT`: an image file that claims more is not
            decoded and counts as one that cannot be read; 134,217,728 by default, 400
            MB in memory.
        split: Name of the split.
        data_dir: Where TFDS keeps data; its own default if None.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such kind, set or split, or `max_pixels` is no
            positive number or of no use.
    """
    full = name
    name, most = _max_pixels(name)
    kind, colon, rest = name.partition(":")
    if not colon or not rest:
        raise ValueError(
            "Data is named 'kind:name', such as tfds:cifar10, folder:DIR, "
            f"tfrecord:GLOB or embedded:32; got {name!r}."
        )
    try:
        opener = registry.get("dataset", kind)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} (In {name!r}.)") from error
    source = opener(rest, split, data_dir)
    return source if most is None else _limited(source, full, most)


def _max_pixels(name: str) -> tuple[str, int | None]:
    """A source's name without the option `max_pixels`, and its value."""
    found = re.search(r"([?&])max_pixels=([^&]*)(&|$)", name)
    if not found:
        return name, None
    if not found[2].isdecimal() or not int(found[2]):
        raise ValueError(
            f"max_pixels must be a positive whole number, got {found[2]!r} (in "
            f"{name!r})."
        )
    between = found[1] if found[3] else ""
    return name[: found.start()] + between + name[found.end() :], int(found[2])


def _limited(source: Source, name: str, most: int) -> Source:
    """The source with another limit for its images."""
    encoded = source.encoded
    if encoded is None:
        raise ValueError(
            f"max_pixels is for image files of any size; {name!r} has none. Leave it "
            "out."
        )

    def read(index: tf.Tensor) -> tf.Tensor:
        return decode.image(encoded(index), most)

    return dataclasses.replace(source, name=name, read=read, max_pixels=most)


def from_files(
    name: str,
    split: str,
    count: int,
    encoded: Callable[[tf.Tensor], tf.Tensor],
    labels: Labels | None = None,
    classes: tuple[str, ...] | None = None,
    where: Callable[[int], str] | None = None,
) -> Source:
    """A source of image files of any kind and size; arguments as for `Source`."""

    def read(index: tf.Tensor) -> tf.Tensor:
        return decode.image(encoded(index))

    return Source(name, split, count, None, read, labels, classes, encoded, where)


def part_of(split: str, count: int) -> tuple[str, slice]:
    """Takes a split as TFDS writes it apart: `train[:64]`, `train[10%:]`.

    Args:
        split: Name of a split, with or without a range.
        count: Images in the whole of it.

    Returns:
        The split's name, and which of its images are meant.

    Raises:
        ValueError: If the range is not written so.
    """
    name, bracket, limits = split.partition("[")
    if not bracket:
        return name, slice(None)
    found = re.fullmatch(r"(\d+%?)?:(\d+%?)?\]", limits)
    if not found:
        raise ValueError(
            "A part of a split is written 'train[:64]' or 'train[10%:]'; got "
            f"{split!r}."
        )
    ends = [
        None
        if end is None
        else (count * int(end[:-1]) // 100 if end.endswith("%") else int(end))
        for end in found.groups()
    ]
    return name, slice(*ends)


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


def check_kind(source: Source, takes: str) -> None:
    """Refuses recordings for an encoder of images, and the other way round.

    Args:
        source: The data.
        takes: What the encoder takes, `image` or `audio`.

    Raises:
        ValueError: If it takes other data.
    """
    if source.kind != takes:
        raise ValueError(
            f"The encoder takes {takes} data and {source.name!r} is {source.kind} "
            "data. AudioEncoder with AudioWindows is for tfds:NAME?audio=FEATURE, all "
            "other encoders and views are for images."
        )


def _short(classes: tuple[str, ...] | None) -> str:
    names = classes or ()
    return f"{', '.join(names[:5])}{', ...' if names[5:] else ''} ({len(names)})"
