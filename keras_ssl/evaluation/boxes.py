"""Boxes of objects as a detector takes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.core import console
from keras_ssl.data import pipeline
from keras_ssl.data.dense_batches import reader
from keras_ssl.data.rows import rows_of
from keras_ssl.data.sources import Source

Boxes = tuple[np.ndarray, np.ndarray]


class BoxedImages(NamedTuple):
    """Images with their boxes.

    Attributes:
        images: The images.
        boxes: Of each its boxes `(m, 4)` float32, `y0, x0, y1, x1` in [0, 1], and
            their classes `(m,)` int64.
        classes: Names of the classes.
        left_out: How many boxes more there were, which cover nothing of their image.
    """

    images: Source
    boxes: list[Boxes]
    classes: tuple[str, ...]
    left_out: int


def boxed(source: Source, limit: int | None = None) -> BoxedImages:
    """A source's images with those boxes that a detector can find.

    Args:
        source: One with boxes; see `data.truth`. Images without any are kept.
        limit: Takes an evenly spread part of so many images.

    Raises:
        ValueError: If it has no boxes, or their classes no names.
    """
    truth = source.need_truth("detection", "boxes")
    if truth.classes is None:
        raise ValueError(
            f"The boxes of {source.name!r} have classes without names, of which there "
            "may be any number. Give a truth with the names of its classes."
        )
    chosen = pipeline.subset(source.count, limit)
    read = reader(truth)
    kept, left_out = usable([read(int(i)) for i in chosen])
    if left_out:
        console.say(
            f"{source.name} (split {source.split}): {left_out} boxes cover nothing of "
            "their image and are left out."
        )
    if not any(len(labels) for _, labels in kept):
        raise ValueError(
            f"None of the {len(chosen)} images of {source.name!r} (split "
            f"{source.split!r}) has a box, so there is nothing to detect. Take another "
            "part of it, or more of it."
        )
    part = source if len(chosen) == source.count else rows_of(source, chosen)
    return BoxedImages(part, kept, truth.classes, left_out)


def usable(rows: Sequence[Boxes]) -> tuple[list[Boxes], int]:
    """Cuts boxes at the border of the image, and leaves out those of no area.

    Args:
        rows: Of each image its boxes `(m, 4)`, `y0, x0, y1, x1` in [0, 1] where they
            are within the image, and their classes `(m,)`.

    Returns:
        Those that cover some of the image, and the number of the others.
    """
    kept, left_out = [], 0
    for boxes, labels in rows:
        cut = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0.0, 1.0)
        real = (cut[:, 2:] > cut[:, :2]).all(axis=1)
        kept.append((cut[real], np.asarray(labels, np.int64)[real]))
        left_out += int((~real).sum())
    return kept, left_out


def padded(rows: Sequence[Boxes], size: int) -> Boxes:
    """Boxes of images as one array, in pixels.

    Args:
        rows: Boxes in [0, 1] and classes of each image.
        size: Side of the images, pixels.

    Returns:
        `(n, m, 4)` float32 and `(n, m)` int32, `m` being the most boxes of an image, at
        least 1; -1 where there is none.
    """
    most = max(1, *(len(labels) for _, labels in rows))
    boxes = np.full((len(rows), most, 4), -1.0, np.float32)
    classes = np.full((len(rows), most), -1, np.int32)
    for i, (box, label) in enumerate(rows):
        boxes[i, : len(box)] = box * size
        classes[i, : len(box)] = label
    return boxes, classes


def mirrored(
    images: tf.Tensor, boxes: tf.Tensor, chosen: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Some images and their boxes, left and right exchanged.

    Args:
        images: `(n, h, w, 3)`.
        boxes: `(n, m, 4)` in pixels, `y0, x0, y1, x1`; negative where there is none.
        chosen: `(n,)` booleans: which images.

    Returns:
        Images and boxes; those that were not chosen as they are.
    """
    width = tf.cast(tf.shape(images)[2], boxes.dtype)
    y0, x0, y1, x1 = tf.unstack(boxes, axis=-1)
    turned = tf.stack([y0, width - x1, y1, width - x0], axis=-1)
    there = (y1 >= 0) & chosen[:, None]
    return (
        tf.where(chosen[:, None, None, None], images[:, :, ::-1], images),
        tf.where(there[..., None], turned, boxes),
    )
