"""Batches of images with what is true of their places, for evaluation."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data import pipeline
from keras_ssl.data.sources import Source
from keras_ssl.data.truth import Truth

# What a protocol says of it.
STRETCHED = "whole image stretched to a square, with antialiasing; truth to the nearest"


def stretched(images: tf.Tensor, size: int) -> tf.Tensor:
    """Whole images at one size, whatever their shape: boxes in [0, 1] stay right.

    Args:
        images: `(n, h, w, 3)` uint8 or floats in [0, 1].
        size: Side of the result in pixels.

    Returns:
        `(n, size, size, 3)` float32 in [0, 1].
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    if images.shape[1:3].as_list() != [size, size]:
        resized = tf.image.resize(images, [size, size], antialias=True)
        images = tf.clip_by_value(resized, 0.0, 1.0)
    return tf.ensure_shape(images, [None, size, size, 3])


def nearest(truth: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """A mask or depth at another size, each pixel the nearest one's.

    Args:
        truth: `(h, w)` or `(n, h, w)`.
        height: Of the result, pixels.
        width: Of the result, pixels.

    Returns:
        `(height, width)` or `(n, height, width)`, of the same type.
    """
    resized = tf.image.resize(truth[..., None], [height, width], method="nearest")
    return resized[..., 0]


def reader(truth: Truth) -> Callable[[int], Any]:
    """A compiled function of an index: what is true of that image, as numpy arrays."""
    spec = tf.TensorSpec([], tf.int64)
    read = tf.function(truth.read, input_signature=[spec], autograph=False)

    def at(index: int) -> Any:
        found = read(tf.constant(index, tf.int64))
        return tf.nest.map_structure(lambda x: x.numpy(), found)

    return at


def dense_batches(
    source: Source,
    kind: str,
    size: int,
    batch_size: int = 64,
    limit: int | None = None,
    max_corrupt: float = 0.01,
) -> Iterator[tuple[np.ndarray, tf.Tensor, list[Any]]]:
    """Every image once and in order, stretched to a square, with its truth.

    Args:
        source: Where images come from.
        kind: Of truth: `mask`, `depth` or `boxes`.
        size: Side in pixels, see `stretched`.
        batch_size: Images in a batch; the last one may be smaller.
        limit: Reads an evenly spread part of so many images.
        max_corrupt: Greatest share of images that may be unreadable, in [0, 1]; they
            are left out.

    Yields:
        Indices `(b,)` int64, images `(b, size, size, 3)` float32 in [0, 1] and a list
        of `b` truths as numpy arrays, at their own sizes; `nearest` brings a mask or
        depth to that of the image, and boxes fit any.

    Raises:
        ValueError: If the source has no such truth, or too many images cannot be read.
    """
    read = reader(source.need_truth("A dense evaluation", kind))
    for index, images in pipeline.numbered_batches(
        source, size, batch_size, limit, max_corrupt, stretched
    ):
        yield index, images, [read(int(i)) for i in index]
