"""Near duplicates between what an encoder was pretrained on and a test split.

Each test image, and its mirror image, is looked up among the pretraining images by a
descriptor of 16 x 16 grey levels, without mean and of unit length, exactly. The nearest
ones are compared by their slopes, the differences of neighbouring grey levels, which is
a difference hash that keeps its sizes: images of like layout have like grey levels, but
only copies have like slopes. Of each of the two small crops are tried too, so that a
copy with a cut border is found.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.data import pipeline
from keras_ssl.data.sources import Source
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.neighbours import nearest
from keras_ssl.evaluation.per_image import Outcome, rounded

# Correlation of slopes from which on two images are called near duplicates. Tried with
# the 50,000 train images of CIFAR-10: of 700 test images turned by a quarter, which are
# unrelated to all, none reached it (the highest had 0.846). Of 500 train images each it
# found 100 % as JPEG of quality 50, 99.4 % of 25, 100 % reduced to 24 pixels, 80 % to
# 16, and 99 % with 6 or 12 % of their sides cut off.
THRESHOLD = 0.85
_SIDE, _SEEN = 16, 32
# What is compared by its slopes: so many nearest ones, if their grey levels are alike.
_CANDIDATES, _ALIKE = 8, 0.65
_ROWS = 2048


class Found(NamedTuple):
    """Near duplicates: test images, what they equal, and how much.

    `rows` and `matches` are `(k,)` int64, the images' numbers in their sources;
    `similarity` is `(k,)`; `of` says how many test images were looked up.
    """

    rows: np.ndarray
    matches: np.ndarray
    similarity: np.ndarray
    of: int


@dataclasses.dataclass
class Leakage:
    """Looks for test images among those that an encoder was pretrained on.

    Takes some 2 kB an image of the pretraining source, once.

    Args:
        pretraining: Images that the encoder has seen.
        threshold: Similarity from which on two images are called near duplicates, in
            (0, 1).
        limit: Takes an evenly spread part of so many pretraining images.

    Raises:
        ValueError: If the threshold is out of range or there are no images.
    """

    pretraining: Source
    threshold: float = THRESHOLD
    limit: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold must be in (0, 1), got {self.threshold}.")
        if self.pretraining.kind != "image":
            raise ValueError(
                "Near duplicates are looked for among images; "
                f"{self.pretraining.name!r} is {self.pretraining.kind} data."
            )
        self._seen: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._found: dict[tuple[str, str, int | None], Found] = {}

    def of(self, test: Source, limit: int | None = None) -> Found:
        """Finds the test images that are near duplicates; kept for the next time.

        Args:
            test: What encoders are scored on.
            limit: Looks up an evenly spread part of so many images.
        """
        key = (test.name, test.split, limit)
        if key not in self._found:
            if self._seen is None:
                self._seen = self._described(self.pretraining, self.limit)
            index, grey, descriptors = self._described(test, limit)
            match, similarity = _matches(grey, descriptors, *self._seen[1:])
            found = np.flatnonzero(similarity >= self.threshold)
            self._found[key] = Found(
                index[found],
                self._seen[0][match[found]],
                similarity[found],
                len(index),
            )
        return self._found[key]

    def beside(
        self, outcome: Outcome, score: str, data: EvaluationData
    ) -> dict[str, Any]:
        """What belongs beside a result: how many test images the encoder has seen.

        Args:
            outcome: What came of the test images.
            score: Name of the number that counts.
            data: What the encoder was scored on.

        Returns:
            `near_duplicates`, their `share`, `of` how many, `threshold`, what the
            encoder was `pretrained_on`, and where there are any the score `without`.
        """
        found = self.of(data.test, data.test_limit)
        beside: dict[str, Any] = {
            "near_duplicates": len(found.rows),
            "of": found.of,
            "share": round(len(found.rows) / found.of, 6),
            "threshold": self.threshold,
            "pretrained_on": {
                "data": self.pretraining.name,
                "split": self.pretraining.split,
            },
        }
        if 0 < len(found.rows) < found.of:
            numbers = outcome.without(found.rows)
            beside["without"] = rounded({score: numbers[score]})
        return beside

    def _described(
        self, source: Source, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers `(n,)`, grey images `(n, 32, 32)` uint8, descriptors `(n, 256)`."""
        parts = []
        for index, images in pipeline.numbered_batches(source, _SEEN, 1024, limit):
            grey = tf.image.rgb_to_grayscale(images)
            parts.append(
                (
                    index,
                    np.rint(grey[..., 0].numpy() * 255).astype(np.uint8),
                    _descriptors(grey),
                )
            )
        index, grey, descriptors = map(np.concatenate, zip(*parts, strict=True))
        return index, grey, descriptors


def _descriptors(grey: tf.Tensor) -> np.ndarray:
    """Small images `(n, 256)` without mean, of unit length where they are not flat."""
    small = tf.image.resize(grey, [_SIDE, _SIDE], antialias=True)
    flat = tf.reshape(small, [-1, _SIDE**2])
    return _unit(flat - tf.reduce_mean(flat, axis=1, keepdims=True)).numpy()


def _matches(
    grey: np.ndarray, descriptors: np.ndarray, seen: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most similar of the seen images for each row, and how similar it is."""
    match = np.zeros(len(grey), np.int64)
    best = np.full(len(grey), -1.0)
    mirrored = descriptors.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(len(grey), -1)
    count = min(_CANDIDATES, len(seen))
    for asked, shown in ((descriptors, grey), (mirrored, grey[:, :, ::-1])):
        near = nearest(known, asked, count)
        rows, places = np.nonzero(near.similarity >= _ALIKE)
        candidates = near.indices[rows, places]
        for at in range(0, len(rows), _ROWS):
            part = slice(at, at + _ROWS)
            alike = _alike(shown[rows[part]], seen[candidates[part]]).numpy()
            for row, other, value in zip(
                rows[part], candidates[part], alike, strict=True
            ):
                if value > best[row]:
                    match[row], best[row] = other, value
    return match, best


# Of both images one is whole and the other cut: nothing, or 6 or 12 % of its sides.
_CUTS = [(0.0, 0.0, 1.0, 1.0)] + [
    (top, left, top + side, left + side)
    for side in (0.94, 0.88)
    for top in (0.0, (1 - side) / 2, 1 - side)
    for left in (0.0, (1 - side) / 2, 1 - side)
]


@tf.function(autograph=False, reduce_retracing=True)
def _alike(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The best correlation of slopes over all cuts of either: `(n,)`."""
    a, b = _slopes(one), _slopes(other)
    pairs = (a[:, :1] * b, a * b[:, :1])
    return tf.reduce_max([tf.reduce_max(tf.reduce_sum(p, -1), 1) for p in pairs], 0)


def _slopes(grey: tf.Tensor) -> tf.Tensor:
    """Differences of neighbours, of unit length, of each cut: `(n, cuts, 480)`."""
    count, cuts = tf.shape(grey)[0], len(_CUTS)
    small = tf.image.crop_and_resize(
        tf.cast(grey[..., None], tf.float32),
        tf.tile(tf.constant(_CUTS, tf.float32), [count, 1]),
        tf.repeat(tf.range(count), cuts),
        [_SIDE, _SIDE],
    )[..., 0]
    down, right = small[:, 1:] - small[:, :-1], small[:, :, 1:] - small[:, :, :-1]
    flat = [tf.reshape(x, [-1, _SIDE * (_SIDE - 1)]) for x in (down, right)]
    return tf.reshape(_unit(tf.concat(flat, 1)), [count, cuts, -1])


def _unit(x: tf.Tensor) -> tf.Tensor:
    """Rows of unit length; those of images without any structure become 0."""
    length = tf.norm(x, axis=1, keepdims=True)
    return tf.where(length > 1e-3, x / tf.maximum(length, 1e-3), 0.0)
