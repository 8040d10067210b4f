"""Batches for training and for evaluation, from any source.

What a step of a run sees depends on the run's seed and the step alone: not on how
many workers or replicas share it, nor on where the run was stopped and resumed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core.share import WHOLE, Cut, Share
from keras_ssl.data import each, units
from keras_ssl.data.each import Views
from keras_ssl.data.partners import Prepared
from keras_ssl.data.sources import Source

# Images of one size that are rendered at a time.
_UNIT = 64


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Whole batches in one pass; an epoch leaves the rest out, another each time.

    Raises:
        ValueError: If there is not even one.
    """
    if batch_size > source.count:
        raise ValueError(
            f"batch_size {batch_size} is more than the {source.count} images of "
            f"{source.name!r} (split {source.split!r}). Take a smaller batch."
        )
    return source.count // batch_size


def training_batches(
    source: Source,
    views: Views,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    max_corrupt: float = 0.01,
    partners: Prepared | None = None,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Endless global batches from `start_step` on, or a share of each.

    Each epoch is a permutation computed index by index, so that starting late costs
    nothing and no shuffle buffer is kept. An image that cannot be read leaves its place
    and its seed to another one, which follows from its index: so batches are full, and
    are the same again after a resume.

    Args:
        source: Where images come from.
        views: `(images, seeds) -> tuple of views`; see `augmentations`.
        batch_size: Images in a global batch.
        seed: The run's seed.
        start_step: Steps to pass over.
        max_corrupt: Greatest share of images that may be unreadable, in [0, 1]; beyond
            it `source.unreadable.error` is set and the data ends in an error.
        partners: Picks another image for each; the first view then shows the image
            itself, all later ones show its partner. If None all show the image.
        share: Whose rows of each global batch to make. Only their images are read;
            what they show does not depend on the share.

    Returns:
        A data set of `{"views", "seed", "index"}`, of each step one for each replica of
        the share; `index` says which images were used. With partners also of `partner`,
        which images the later views show, and of the partners' `facts`.

    Raises:
        ValueError: If there is not a whole batch, replicas cannot share it equally, or
            there is no second view for a partner.
    """
    most = each.UNIT if source.shape is None else _UNIT
    cut = share.cut(batch_size, most)
    asked = _asked(source, batch_size, cut, seed, start_step)
    if source.shape is not None:
        pieces = asked.map(
            lambda rows: _rendered(source, views, partners, cut, rows),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    else:
        pieces = each.pieces(asked, source, views, cut, max_corrupt, partners)
    batches = units.joined(pieces, cut)
    if partners is not None:
        shown = batches.element_spec["views"]
        if len(shown) < 2:
            raise ValueError(
                "Partners are shown by the second view and those after it; the views "
                f"function makes {len(shown)}. Take two views, or no train.partners."
            )
        batches = batches.map(
            lambda b: {**b, **partners.facts(b["index"], b["partner"])}
        )
    options = tf.data.Options()
    options.deterministic = True
    # The share is taken here already.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    # Of data that may end workers ask each other at every step whether it has.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    batches = batches.apply(endless)
    return batches.prefetch(2 * share.count).with_options(options)


def _asked(
    source: Source, batch_size: int, cut: Cut, seed: int, start_step: int
) -> tf.data.Dataset:
    """Which images the pieces of a share show, without end.

    Returns:
        A data set of `index` and `seed`, a row each; `seen`, a row each, how many
        different images this share was asked for before the step; and `place`, the
        scalar place of the first row in its unit.
    """
    per_epoch = steps_per_epoch(source, batch_size)
    pieces = cut.rows // cut.piece

    def draw(number: tf.Tensor) -> dict[str, tf.Tensor]:
        step = number // pieces
        epoch = step // per_epoch
        key = tf.random.stateless_uniform(
            [2], [seed, epoch], minval=None, maxval=None, dtype=tf.int32
        )
        row = cut.first + (number % pieces) * cut.piece
        first = (step % per_epoch) * batch_size + row
        position = tf.range(first, first + cut.piece)
        index = tf.random.experimental.index_shuffle(position, key, source.count - 1)
        index = tf.ensure_shape(index, [cut.piece])
        # One seed per example: from the run, the epoch and the image.
        seeds = tf.stack(
            [tf.fill([cut.piece], key[0]), tf.cast(index, tf.int32) ^ key[1]], axis=1
        )
        rows = (step - start_step) * cut.rows
        seen = tf.where(rows < per_epoch * batch_size, rows, source.count)
        return {
            "index": index,
            "seed": seeds,
            "seen": tf.fill([cut.piece], seen),
            "place": tf.cast(row % cut.unit, tf.int32),
        }

    numbers = tf.data.Dataset.range(start_step * pieces, np.iinfo(np.int64).max)
    return numbers.map(draw, num_parallel_calls=1)


@tf.autograph.experimental.do_not_convert
def _rendered(
    source: Source,
    views: Views,
    partners: Prepared | None,
    cut: Cut,
    rows: dict[str, tf.Tensor],
) -> dict[str, Any]:
    """A piece of images that are read at once."""
    index, seeds = rows["index"], rows["seed"]

    def shown(chosen: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return units.computed(views, cut, rows["place"], source.read(chosen), seeds)

    batch = {"views": shown(index), "index": index, "seed": seeds}
    if partners is None:
        return batch
    partner = partners.choose(index, seeds)
    # Of both sets of views half is unused, and is never computed.
    theirs = shown(partner)
    return {**batch, "views": (*batch["views"][:1], *theirs[1:]), "partner": partner}


def evaluation_batches(
    source: Source,
    size: int,
    batch_size: int = 256,
    limit: int | None = None,
    max_corrupt: float = 0.01,
) -> Iterator[tf.Tensor]:
    """Every image once and in order, as `(b, size, size, 3)` floats in [0, 1].

    Recordings come as `(b, size)` floats in [-1, 1].

    Images that cannot be read are left out; `numbered_batches` says which remain.

    Args:
        source: Where images come from.
        size: Side in pixels, see `square`; of recordings samples, see `window`.
        batch_size: Images in a batch; the last one may be smaller.
        limit: Reads an evenly spread part of so many images.
        max_corrupt: Greatest share of images that may be unreadable, in [0, 1].

    Yields:
        Batches.

    Raises:
        ValueError: If too many cannot be read.
    """
    for _, images in numbered_batches(source, size, batch_size, limit, max_corrupt):
        yield images


def numbered_batches(
    source: Source,
    size: int,
    batch_size: int = 256,
    limit: int | None = None,
    max_corrupt: float = 0.01,
    shown: Callable[[tf.Tensor, int], tf.Tensor] | None = None,
) -> Iterator[tuple[np.ndarray, tf.Tensor]]:
    """As `evaluation_batches`, yielding `(index, images)`, the index `(b,)` int64.

    `shown` makes images of one size, in the place of `square` or `window`.
    """
    asked, shown = subset(source.count, limit), shown or SHOWN[source.kind]
    alone = source.shape is None

    # AutoGraph would look for an `if` that asks a tensor, which takes half a second.
    @tf.autograph.experimental.do_not_convert
    def made(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = source.read(i)
        return i, shown(images[None], size)[0] if alone else shown(images, size)

    dataset = tf.data.Dataset.from_tensor_slices(asked)
    if alone:
        dataset = dataset.map(made, tf.data.AUTOTUNE).ignore_errors().batch(batch_size)
    else:
        dataset = dataset.batch(batch_size).map(made, tf.data.AUTOTUNE)
    found = [np.empty(0, np.int64)]
    for index, images in dataset.prefetch(2):
        found.append(index.numpy())
        yield found[-1], images
    for index in np.setdiff1d(asked, np.concatenate(found)):
        source.note_unreadable(int(index))
    source.unreadable.check(len(asked), source.count, max_corrupt)


def subset(count: int, limit: int | None) -> np.ndarray:
    """Indices of all examples, or of `limit` ones spread evenly."""
    if limit is None or limit >= count:
        return np.arange(count, dtype=np.int64)
    return np.linspace(0, count - 1, limit).astype(np.int64)


def square(images: tf.Tensor, size: int) -> tf.Tensor:
    """The middle square of each image at one size: what evaluations and exports see.

    Args:
        images: `(n, h, w, 3)` uint8 or floats in [0, 1].
        size: Side of the result in pixels.

    Returns:
        `(n, size, size, 3)` float32 in [0, 1]; the images themselves where they have
        that size already, else their middle squares, resized with antialiasing.
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    if images.shape[1:3].as_list() == [size, size]:
        return images
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = images[:, top : top + side, left : left + side]

    def resize() -> tf.Tensor:
        resized = tf.image.resize(middle, [size, size], antialias=True)
        return tf.clip_by_value(resized, 0.0, 1.0)

    # Bit by bit what the encoder was evaluated on, where no resizing is needed.
    made = tf.cond(tf.equal(side, size), lambda: middle, resize)
    return tf.ensure_shape(made, [None, size, size, 3])


def window(waveforms: tf.Tensor, size: int) -> tf.Tensor:
    """The middle of each recording at one length: what evaluations see.

    Args:
        waveforms: `(n, samples)` int16, or floats in [-1, 1].
        size: Length of the result, samples.

    Returns:
        `(n, size)` float32 in [-1, 1]; what is shorter has zeros at its end.
    """
    waveforms = amplitudes(waveforms)
    samples = tf.shape(waveforms)[1]
    first = tf.maximum(samples - size, 0) // 2
    middle = waveforms[:, first : first + size]
    made = tf.pad(middle, [[0, 0], [0, tf.maximum(size - samples, 0)]])
    return tf.ensure_shape(made, [None, size])


def amplitudes(waveforms: tf.Tensor) -> tf.Tensor:
    """Waveforms as float32 in [-1, 1], from int16 or such floats."""
    scale = 2.0**-15 if waveforms.dtype == tf.int16 else 1.0
    return tf.cast(waveforms, tf.float32) * scale


# What evaluations are shown of data of each kind.
SHOWN = {"image": square, "audio": window}
