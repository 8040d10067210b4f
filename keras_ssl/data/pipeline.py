"""Batches for training and for evaluation, from any source.

What a step of a run sees depends on the run's seed and the step alone: not on how
many workers or replicas share it, nor on where the run was stopped and resumed.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data import each
from keras_ssl.data.each import Views
from keras_ssl.data.partners import Prepared
from keras_ssl.data.sources import Source


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
) -> tf.data.Dataset:
    """Endless global batches from `start_step` on.

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

    Returns:
        A data set of `{"views", "seed", "index"}`, where `index` says which images
        were used; with partners also of `partner`, which images the later views show,
        and of the partners' `facts`.

    Raises:
        ValueError: If there is not a whole batch, or not a second view for a partner.
    """
    per_epoch = steps_per_epoch(source, batch_size)

    def draw(step: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch = step // per_epoch
        key = tf.random.stateless_uniform(
            [2], [seed, epoch], minval=None, maxval=None, dtype=tf.int32
        )
        first = (step % per_epoch) * batch_size
        position = tf.range(first, first + batch_size)
        index = tf.random.experimental.index_shuffle(position, key, source.count - 1)
        index = tf.ensure_shape(index, [batch_size])
        # One seed per example: from the run, the epoch and the image.
        seeds = tf.stack(
            [tf.fill([batch_size], key[0]), tf.cast(index, tf.int32) ^ key[1]], axis=1
        )
        # How many different images were asked for before this step.
        steps = step - start_step
        seen = tf.where(steps < per_epoch, steps * batch_size, source.count)
        return {"index": index, "seed": seeds, "seen": tf.fill([batch_size], seen)}

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    batches = steps.map(draw, num_parallel_calls=1)
    if source.shape is not None:
        batches = batches.map(
            lambda b: _rendered(source, views, partners, b["index"], b["seed"]),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    else:
        batches = each.batches(
            batches, source, views, batch_size, max_corrupt, partners
        )
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
    # Every worker makes the whole global batch and takes its share of it.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return batches.prefetch(2).with_options(options)


@tf.autograph.experimental.do_not_convert
def _rendered(
    source: Source,
    views: Views,
    partners: Prepared | None,
    index: tf.Tensor,
    seeds: tf.Tensor,
) -> dict[str, Any]:
    """A batch of images that are read at once."""
    batch = {"views": views(source.read(index), seeds), "index": index, "seed": seeds}
    if partners is None:
        return batch
    partner = partners.choose(index, seeds)
    # Of both sets of views half is unused, and is never computed.
    theirs = views(source.read(partner), seeds)
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
) -> Iterator[tuple[np.ndarray, tf.Tensor]]:
    """As `evaluation_batches`, yielding `(index, images)`, the index `(b,)` int64."""
    asked, shown = subset(source.count, limit), SHOWN[source.kind]
    dataset = tf.data.Dataset.from_tensor_slices(asked)
    if source.shape is not None:
        dataset = dataset.batch(batch_size).map(
            lambda i: (i, shown(source.read(i), size)), tf.data.AUTOTUNE
        )
    else:
        dataset = (
            dataset.map(
                lambda i: (i, shown(source.read(i)[None], size)[0]), tf.data.AUTOTUNE
            )
            .ignore_errors()
            .batch(batch_size)
        )
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
