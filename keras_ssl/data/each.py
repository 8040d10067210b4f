"""Training batches from images of differing sizes, each decoded on its own."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from keras_ssl.core.share import Cut
from keras_ssl.data import decode, units
from keras_ssl.data.partners import Prepared
from keras_ssl.data.sources import Source

Views = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]
Tensors = tuple[tf.Tensor, ...]
Reader = Callable[[dict[str, Any]], dict[str, Any]]

# Starting an inner pipeline costs some 0.3 ms, which so many images share. They also
# are what is worked on at a time: they should fit into the processor's cache.
UNIT = 16


@runtime_checkable
class StagedViews(Protocol):
    """Views that need a whole image no more than a file: see `augmentations.views`."""

    def draw(self, seeds: tf.Tensor) -> Tensors: ...

    def boxes(
        self, height: tf.Tensor, width: tf.Tensor, numbers: Tensors
    ) -> tf.Tensor: ...

    def begin(
        self, pixels: tf.Tensor, boxes: tf.Tensor, numbers: Tensors
    ) -> Tensors: ...

    def finish(self, begun: Tensors, numbers: Tensors) -> Tensors: ...


class _Whole:
    """Views that are any function of whole images."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def draw(self, seeds: tf.Tensor) -> Tensors:
        return (seeds,)

    def boxes(self, height: tf.Tensor, width: tf.Tensor, numbers: Tensors) -> tf.Tensor:
        return tf.stack([[0, 0, height, width]])

    def begin(self, pixels: tf.Tensor, boxes: tf.Tensor, numbers: Tensors) -> Tensors:
        return tuple(view[0] for view in self.views(pixels[None], numbers[0][None]))

    def finish(self, begun: Tensors, numbers: Tensors) -> Tensors:
        return begun


def pieces(
    asked: tf.data.Dataset,
    source: Source,
    views: Views,
    cut: Cut,
    max_corrupt: float,
    partners: Prepared | None = None,
) -> tf.data.Dataset:
    """Reads images and renders their views.

    Args:
        asked: Endless pieces of `index`, `seed` and `seen`, the number of different
            images that were asked for before, and the `place` of each piece.
        source: Where images come from; their sizes differ.
        views: Views of any kind; of `StagedViews` only what they show is decoded.
        cut: How many images a piece has, and the unit it is a part of.
        max_corrupt: Greatest share that may be unreadable.
        partners: Whom all views but the first show; the image itself if None.

    Returns:
        Pieces of `views`, `seed` and `index`, the index of what was used; with
        partners also of `partner`, the index of what the later views show. Who stands
        in for an image that cannot be read, or has a partner that cannot, is its own.
    """
    staged = views if isinstance(views, StagedViews) else _Whole(views)
    one, pair = _readers(source, staged, partners)

    def other(example: dict[str, Any]) -> dict[str, Any]:
        """The same with an image that can be read, where this one can't."""
        index = tf.numpy_function(
            lambda index, seen: _substitute(source, int(index), int(seen), max_corrupt),
            [example["index"], example["seen"]],
            tf.int64,
        )
        return one({**example, "index": tf.ensure_shape(index, [])})

    def carefully(example: dict[str, Any]) -> tf.data.Dataset:
        alone = tf.data.Dataset.from_tensors(example)
        found = alone.map(pair).ignore_errors()
        if partners is not None:
            found = found.concatenate(alone.map(one).ignore_errors())
        return found.concatenate(alone.map(other)).take(1)

    def render(rows: dict[str, tf.Tensor]) -> dict[str, Any]:
        place = rows.pop("place")
        drawn = staged.draw(rows["seed"])
        examples = tf.data.Dataset.from_tensor_slices({**rows, "drawn": drawn})
        # All images of a piece are fine, or it yields nothing and is read again with
        # care: so that no image pays for the few that cannot be read.
        fast = examples.map(pair).ignore_errors().batch(cut.piece, drop_remainder=True)
        slow = examples.flat_map(carefully).batch(cut.piece, drop_remainder=True)
        made = fast.concatenate(slow).take(1).get_single_element()
        finished = units.computed(staged.finish, cut, place, made.pop("begun"), drawn)
        return {"views": finished, **made, "seed": rows["seed"]}

    # Nothing to convert, which takes seconds.
    render = tf.autograph.experimental.do_not_convert(render)
    return asked.map(render, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _readers(
    source: Source, staged: StagedViews, partners: Prepared | None
) -> tuple[Reader, Reader]:
    """Two ways to read one example: alone, and paired where there are partners."""

    def begin(index: tf.Tensor, drawn: Tensors, shown: slice) -> Tensors:
        """Reads one image and takes the first step of the views that show it."""
        pixels, boxes = _pixels(
            source, index, lambda h, w: _only(shown, staged.boxes(h, w, drawn))
        )
        return staged.begin(pixels, boxes, drawn)[shown]

    # Traced once for all their uses.
    @tf.function(autograph=False)
    def one(example: dict[str, Any]) -> dict[str, Any]:
        """All views of the image itself."""
        index = example["index"]
        found = {"begun": begin(index, example["drawn"], slice(None)), "index": index}
        return found if partners is None else {**found, "partner": index}

    if partners is None:
        return one, one

    @tf.function(autograph=False)
    def pair(example: dict[str, Any]) -> dict[str, Any]:
        """The first view of the image, all others of its partner."""
        index, drawn = example["index"], example["drawn"]
        partner = partners.choose(index[None], example["seed"][None])[0]
        begun = begin(index, drawn, slice(1)), begin(partner, drawn, slice(1, None))
        return {"begun": (*begun[0], *begun[1]), "index": index, "partner": partner}

    return one, pair


def _pixels(
    source: Source, index: tf.Tensor, boxes: decode.Boxes
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels that hold some boxes, and the boxes counted from their corner."""
    if source.encoded is not None:
        return decode.parts(source.encoded(index), boxes, source.max_pixels)
    pixels = source.read(index)
    # A waveform has a length and no width.
    size = tf.concat([tf.shape(pixels), [1]], axis=0)
    return pixels, boxes(size[0], size[1])


def _only(shown: slice, boxes: tf.Tensor) -> tf.Tensor:
    """Boxes of all views `(num_views, 4)`, others' put where a shown view's is.

    What is not shown is then not decoded either. A single box is the whole image.
    """
    if shown == slice(None) or boxes.shape[0] == 1:
        return boxes
    rows = range(boxes.shape[0])
    if not rows[shown]:
        return boxes
    return tf.gather(boxes, [i if i in rows[shown] else rows[shown][0] for i in rows])


def _substitute(source: Source, index: int, seen: int, max_corrupt: float) -> np.int64:
    """Notes an unreadable image; returns the index of one that can be read.

    Which one follows from the index alone. Python works here, but only for images
    that cannot be read.
    """
    source.note_unreadable(index)
    for other in _others(index, source.count):
        source.unreadable.check(seen, source.count, max_corrupt)
        if other not in source.unreadable.places and source.try_read(other) is not None:
            source.unreadable.substituted += 1
            return np.int64(other)
    source.unreadable.check(source.count, source.count, 0.0)
    raise RuntimeError("Images that were readable no longer are.")


def _others(index: int, count: int) -> Iterator[int]:
    """Every index once, in an order of its own for each index."""
    key = tf.constant([index % 2**31, index // 2**31], tf.int32)
    for place in range(count):
        yield int(
            tf.random.experimental.index_shuffle(
                tf.constant(place, tf.int64), key, tf.constant(count - 1, tf.int64)
            )
        )
