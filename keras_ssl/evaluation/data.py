"""What evaluations see: two labelled splits, and an encoder's features of them."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.data import overlap, pipeline, sources
from keras_ssl.data.rows import rows_of
from keras_ssl.data.short_side import short_side
from keras_ssl.data.truth import check_same

Encode = Callable[[tf.Tensor], tf.Tensor]


class Features(NamedTuple):
    """Frozen features with their labels.

    `train` and `test` are `(n, d)` float32, the labels `(n,)` int64 in
    `[0, num_classes)`; those of a set of several labels an image `(n, num_classes)`
    int64: 1 where an image shows the class, 0 where that does not count, else -1. `val`
    is there where the data have a split of their own to choose on, `test_index`, `(n,)`
    int64, where test images have numbers in a source.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    val: np.ndarray | None = None
    val_labels: np.ndarray | None = None
    test_index: np.ndarray | None = None

    def without(self, rows: np.ndarray) -> "Features":
        """The same without some test images, given by their numbers in the source."""
        index = np.asarray(self.test_index)
        left = ~np.isin(index, rows)
        test, labels = self.test[left], self.test_labels[left]
        return self._replace(test=test, test_labels=labels, test_index=index[left])


@dataclasses.dataclass
class EvaluationData:
    """A train and test split with labels, or with what is true of places.

    Args:
        train: What probes learn from.
        test: What they are scored on, never chosen on.
        size: Side of the images that an encoder sees, pixels; of recordings their
            length, samples.
        train_limit: Takes an evenly spread part of so many train images.
        test_limit: The same for test.
        batch_size: Images encoded at a time.
        val: What choices are made on, where the data have a split for that.
        short_side: Whether images are resized by their short sides, bicubic, before the
            middle is cut out, as in papers on transfer; see `data.short_side`.

    Raises:
        ValueError: If a split has neither labels nor a truth, or the classes differ.
    """

    train: sources.Source
    test: sources.Source
    size: int
    train_limit: int | None = None
    test_limit: int | None = None
    batch_size: int = 500
    _: dataclasses.KW_ONLY
    val: sources.Source | None = None
    short_side: bool = False

    def __post_init__(self) -> None:
        for source in self._sources():
            if source.truth is None:
                source.need_labels("An evaluation", several=True)
            sources.check_classes(self.train, source)
            check_same(self.train.truth, source.truth)
        for one, other in itertools.combinations(self._sources(), 2):
            overlap.check_apart(one, other)
        self._check_several_classes()
        self._of: Encode | None = None
        self._features: Features | None = None
        self._protocol: dict[str, Any] | None = None

    def features(self, encode: Encode, several: bool = False) -> Features:
        """Features of both splits; those of the last encoder are kept.

        Args:
            encode: Maps `(n, size, size, 3)` floats in [0, 1] to `(n, d)`; of
                recordings `(n, size)` floats in [-1, 1].
            several: Whether rows of signs will do, where images have several labels.

        Raises:
            ValueError: If images have several labels and that will not do.
        """
        _, classes = self.train.need_labels("This evaluation", several)
        if self._features is None or self._of is not encode:
            train = self.split(encode, self.train, self.train_limit)
            test = self.split(encode, self.test, self.test_limit)
            self._features = Features(
                *train[:2], *test[:2], len(classes), test_index=test[2]
            )
            if self.val is not None:
                val, labels, _ = self.split(encode, self.val, None)
                self._features = self._features._replace(val=val, val_labels=labels)
            self._of = encode
        return self._features

    def without(self, rows: np.ndarray) -> "EvaluationData":
        """The same without some test images, of which features are not made again.

        Args:
            rows: Their numbers in the test source.

        Raises:
            ValueError: If no test image is left.
        """
        keep = np.setdiff1d(pipeline.subset(self.test.count, self.test_limit), rows)
        if not len(keep):
            raise ValueError(f"No test image of {self.test.name!r} is left.")
        test = rows_of(self.test, keep)
        fewer = dataclasses.replace(self, test=test, test_limit=None)
        if self._features is not None:
            left = self._features.without(rows)
            # By their numbers in what is left of the source.
            index = np.searchsorted(keep, np.asarray(left.test_index))
            fewer._features = left._replace(test_index=index)
            fewer._of = self._of
        return fewer

    def forget(self) -> None:
        """Drops kept features: the encoder has changed, or memory is needed."""
        self._of = self._features = None

    def protocol(self) -> dict[str, Any]:
        """What a result on this data depends on, for its record."""
        if self._protocol is None:
            self._protocol = self._make_protocol()
        return self._protocol

    def _check_several_classes(self) -> None:
        """Raises a ValueError if all test images are of one class."""
        asked = pipeline.subset(self.test.count, self.test_limit)
        # Whoever asks for a truth is not after the labels.
        if self.test.truth or self.test.multi_label or len(asked) < 2:
            return
        labels, classes = self.test.need_labels("An evaluation", several=True)
        # Labels in files are read one by one, so a few first: mostly they differ. At
        # no regular distance: so may the classes be.
        few = np.random.default_rng(0).choice(asked, min(16, len(asked)), replace=False)
        for some in (few, asked):
            found = np.unique(labels[some])
            if len(found) > 1:
                return
        raise ValueError(
            f"All {len(asked)} test images of {self.test.name!r} (split "
            f"{self.test.split!r}) are of one class, {classes[int(found[0])]!r}, so "
            "any score would be that of a guess. Take a split in mixed order, or more "
            "of it."
        )

    def _sources(self) -> list[sources.Source]:
        """Train, test and, where there is one, val."""
        return [s for s in (self.train, self.test, self.val) if s is not None]

    def _make_protocol(self) -> dict[str, Any]:
        shown = "short side" if self.short_side else self.train.kind

        def one(source: sources.Source, limit: int | None) -> dict[str, Any]:
            return {
                "data": source.name,
                "split": source.split,
                "images": len(pipeline.subset(source.count, limit)),
                "fingerprint": source.fingerprint(),
            }

        return {
            "train": one(self.train, self.train_limit),
            "test": one(self.test, self.test_limit),
            **({} if self.val is None else {"val": one(self.val, None)}),
            "image_size": self.size,
            "preprocessing": _PREPROCESSING[shown],
        }

    def split(
        self, encode: Encode, source: sources.Source, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What an encoder makes of a split, with labels.

        Args:
            encode: As for `features`.
            source: The split.
            limit: Takes an evenly spread part of so many images.

        Returns:
            `(n, d)` float32, `(n,)` labels and `(n,)` indices of the images; those that
            cannot be read are left out.

        Raises:
            ValueError: If too many cannot be read.
        """
        labels, _ = source.need_labels("An evaluation", several=True)
        features, index = self.encoded(encode, source, limit)
        return features, labels[index], index

    def encoded(
        self, encode: Encode, source: sources.Source, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `split`, without labels, of which there may be none."""
        shown = short_side if self.short_side else None
        batches = pipeline.numbered_batches(
            source, self.size, self.batch_size, limit, shown=shown
        )
        # Images that cannot be read are left out, so the labels are those that remain.
        found = [
            (index, np.asarray(encode(images), np.float32)) for index, images in batches
        ]
        index, features = map(np.concatenate, zip(*found, strict=True))
        return features, index


_PREPROCESSING = {
    "image": "middle square, resized with antialiasing where larger",
    "short side": "short side resized bicubic with antialiasing, middle square",
    "audio": "middle window, zeros at the end where shorter",
}


class Frozen:
    """An encoder as evaluations see it: compiled, in inference mode.

    Attributes:
        encoder: The model, for evaluations that look inside or train it further; such
            a one trains a copy.

    Args:
        encoder: Called as `encoder(images, training=False)`.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self._features = tf.function(
            lambda images: encoder(images, training=False), autograph=False
        )

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Features `(n, d)` of a batch."""
        return self._features(images)


def need_model(encode: Encode, what: str) -> Any:
    """The model behind a function of features.

    Args:
        encode: What an evaluation was given.
        what: Who wants it, for the error.

    Raises:
        ValueError: If there is none: raw pixels, or an exported SavedModel.
    """
    if not isinstance(encode, Frozen):
        raise ValueError(
            f"{what} looks inside the encoder, and what is scored is no Keras model "
            "but raw pixels or an exported function. Score the run that it came from, "
            "and --subject=encoder or random_init."
        )
    return encode.encoder


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths; rows of zeros stay.

    Args:
        x: `(n, d)` floats.

    Returns:
        `(n, d)`, each row of length 1 or 0.
    """
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1.0)
