"""Nearest neighbours among the images themselves, by their pixels."""

import contextlib
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_ssl.core import console
from keras_ssl.core.registry import register
from keras_ssl.data import pipeline
from keras_ssl.data.partners import Prepared, pick
from keras_ssl.data.sources import Source


@register("partners")
class NearestNeighbours:
    """Pairs an image with one of those whose pixels are nearest to its own.

    Distances are Euclidean, over the middle squares of the images at a small size. They
    are found once, as a run starts or is resumed, by `count^2` products of vectors. The
    memory that it takes grows with the number of images, never with its square. Batches
    then carry `neighbours`, `(n, 2, k)` int64: the lists of each image and of its
    partner.

    Args:
        k: Neighbours of an image, >= 1; 5 in DrLIM.
        size: Side of the images that are compared, pixels; `3 * size^2` bytes an image
            are held while neighbours are searched.
        chunk: Images that are compared with as many others at a time, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, k: int = 5, size: int = 28, chunk: int = 2048) -> None:
        if min(k, size, chunk) < 1:
            raise ValueError(
                f"k, size and chunk must be at least 1, got {k}, {size} and {chunk}."
            )
        self.k, self.size, self.chunk = k, size, chunk

    def prepare(self, source: Source, max_corrupt: float = 0.01) -> Prepared:
        """Reads all images and finds their neighbours.

        Args:
            source: Where images come from.
            max_corrupt: Greatest share of images that may be unreadable, in [0, 1];
                those are nobody's neighbours.

        Returns:
            Partners of its images.

        Raises:
            ValueError: If there are not more than `k` images, or too many cannot be
                read.
        """
        if source.count <= self.k:
            raise ValueError(
                f"{self.k} neighbours of an image need more than {self.k} images; "
                f"{source.name!r} (split {source.split!r}) has {source.count}. Lower "
                "NearestNeighbours.k or take more images."
            )
        numbers, pixels = self._pixels(source, max_corrupt)
        found = nearest(pixels, self.k, self.chunk)
        # Who cannot be read is its own partner: the pipeline puts another in its place.
        table = np.tile(np.arange(source.count)[:, None], [1, self.k])
        table[numbers] = numbers[found]
        return _ByTable(table)

    def _pixels(
        self, source: Source, max_corrupt: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers `(n,)` int64 and pixels `(n, 3 * size^2)` uint8 of what is read."""
        numbers = np.empty(source.count, np.int64)
        pixels = np.empty((source.count, 3 * self.size**2), np.uint8)
        done = 0
        progress = _Progress("Reading images to find neighbours", source.count)
        for index, images in pipeline.numbered_batches(
            source, self.size, max_corrupt=max_corrupt
        ):
            rows = slice(done, done + len(index))
            numbers[rows] = index
            flat = tf.reshape(images, [len(index), -1])
            pixels[rows] = np.rint(flat.numpy() * 255.0)
            done = rows.stop
            progress(done)
        if done <= self.k:
            raise ValueError(
                f"Only {done} images of {source.name!r} can be read, too few for "
                f"{self.k} neighbours each. Lower NearestNeighbours.k."
            )
        return numbers[:done], pixels[:done]


class _ByTable:
    def __init__(self, table: np.ndarray) -> None:
        with tf.device("CPU"):
            self.table = tf.constant(table, tf.int64)

    def choose(self, index: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        which = pick(seeds, self.table.shape[1])
        return tf.gather_nd(self.table, tf.stack([index, which], axis=1))

    def facts(self, index: tf.Tensor, partner: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "neighbours": tf.gather(self.table, tf.stack([index, partner], axis=1)),
        }


def nearest(vectors: np.ndarray, k: int, chunk: int) -> np.ndarray:
    """Finds the nearest other rows of each row, `chunk` rows against `chunk` at a time.

    Args:
        vectors: `(n, d)` uint8.
        k: Neighbours of a row, less than `n`.
        chunk: Rows compared with as many others at a time: beside the vectors it takes
            some `2 * chunk * (chunk + d)` floats, however many rows there are.

    Returns:
        `(n, k)` int64, the nearest first, the lower number first among equals.
    """
    count = len(vectors)
    found = np.empty((count, k), np.int64)
    progress = _Progress("Finding neighbours", count)
    with _whole_floats():
        for first in range(0, count, chunk):
            rows = vectors[first : first + chunk]
            best = tf.fill([len(rows), k], -np.inf)
            who = tf.zeros([len(rows), k], tf.int32)
            for at in range(0, count, chunk):
                columns = vectors[at : at + chunk]
                best, who = _closer(best, who, rows, first, columns, at)
            found[first : first + len(rows)] = who.numpy()
            progress(first + len(rows))
    return found


_NUMBER = tf.TensorSpec([], tf.int32)
_VECTORS = tf.TensorSpec([None, None], tf.uint8)


@tf.function(
    autograph=False,
    input_signature=[
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None, None], tf.int32),
        *(_VECTORS, _NUMBER, _VECTORS, _NUMBER),
    ],
)
def _closer(
    best: tf.Tensor,
    who: tf.Tensor,
    rows: tf.Tensor,
    first: tf.Tensor,
    columns: tf.Tensor,
    at: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best scores `(r, k)` and their numbers, of those so far and of a chunk."""
    a, b = _centred(rows), _centred(columns)
    # The negative square of the distance, but for what is the same for the whole row.
    scores = 2.0 * tf.matmul(a, b, transpose_b=True) - tf.reduce_sum(b * b, axis=1)
    itself = first + tf.range(tf.shape(a)[0])
    number = at + tf.range(tf.shape(b)[0])
    scores = tf.where(itself[:, None] == number[None], -np.inf, scores)
    k = tf.shape(best)[1]
    best, place = tf.math.top_k(tf.concat([best, scores], axis=1), k)
    before = tf.gather(who, tf.minimum(place, k - 1), axis=1, batch_dims=1)
    return best, tf.where(place < k, before, at + place - k)


def _centred(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels as floats around 0, where differences of squares lose least."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0


@contextlib.contextmanager
def _whole_floats() -> Iterator[None]:
    """Multiplies in full float32: TF32 keeps 10 bits, too few to order near images."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


class _Progress:
    """Says how far long work is: a line written over, or one every 15 s elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.begun = self.shown = time.perf_counter()

    def __call__(self, done: int) -> None:
        now = time.perf_counter()
        if console.interactive():
            console.overwrite("" if done == self.total else self._text(done, now))
        elif now - self.shown > 15:
            self.shown = now
            console.say(self._text(done, now))

    def _text(self, done: int, now: float) -> str:
        left = console.duration((now - self.begun) / done * (self.total - done))
        return f"{self.what}: {done / self.total:.0%}, {left} left"
