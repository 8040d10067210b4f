"""Batches for training and for evaluation, from any source.

What a step of a run sees depends on the run's seed and the step alone: not on how
many workers or replicas share it, nor on where the run was stopped and resumed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data.sources import Source

Views = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]


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
    source: Source, views: Views, batch_size: int, seed: int, start_step: int = 0
) -> tf.data.Dataset:
    """Endless global batches from `start_step` on.

    Each epoch is a permutation computed index by index, so that starting late costs
    nothing and no shuffle buffer is kept.

    Args:
        source: Where images come from.
        views: `(images, seeds) -> tuple of views`; see `augmentations`.
        batch_size: Images in a global batch.
        seed: The run's seed.
        start_step: Steps to pass over.

    Returns:
        A data set of `{"views", "seed", "index"}`.
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
        return {"index": index, "seed": seeds}

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    batches = steps.map(draw, num_parallel_calls=1)
    if source.shape is not None:
        batches = batches.map(
            lambda b: {"views": views(source.read(b["index"]), b["seed"]), **b},
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    else:
        batches = _one_by_one(batches, source, views, batch_size)
    options = tf.data.Options()
    options.deterministic = True
    # Every worker makes the whole global batch and takes its share of it.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _one_by_one(
    batches: tf.data.Dataset, source: Source, views: Views, batch_size: int
) -> tf.data.Dataset:
    """Reads images of differing sizes, each on its own, and batches their views."""

    def one(example: dict[str, tf.Tensor]) -> dict[str, Any]:
        image = source.read(example["index"])
        made = views(image[None], example["seed"][None])
        return {"views": tuple(view[0] for view in made), **example}

    return (
        batches.unbatch()
        .map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size, drop_remainder=True)
    )


def evaluation_batches(
    source: Source, size: int, batch_size: int = 256, limit: int | None = None
) -> Iterator[tf.Tensor]:
    """Every image once and in order, as `(b, size, size, 3)` floats in [0, 1].

    Args:
        source: Where images come from.
        size: Side in pixels; see `square`.
        batch_size: Images in a batch; the last one may be smaller.
        limit: Reads an evenly spread part of so many images.

    Yields:
        Batches.
    """
    index = subset(source.count, limit)
    dataset = tf.data.Dataset.from_tensor_slices(index)
    if source.shape is not None:
        dataset = dataset.batch(batch_size).map(
            lambda i: square(source.read(i), size), tf.data.AUTOTUNE
        )
    else:
        dataset = dataset.map(
            lambda i: square(source.read(i)[None], size)[0], tf.data.AUTOTUNE
        ).batch(batch_size)
    yield from dataset.prefetch(2)


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
