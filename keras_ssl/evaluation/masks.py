"""What evaluations of segmentation share: classes, loss and scores of masks."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.data import pipeline
from keras_ssl.data.sources import Source
from keras_ssl.data.truth import IGNORED
from keras_ssl.evaluation import per_image
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.per_image import Outcome
from keras_ssl.metrics import segmentation


class Classes(NamedTuple):
    """Classes of the pixels.

    `names` are those of the source, or numbers; `most` is the most frequent one in
    train, which a guess would always say.
    """

    names: tuple[str, ...]
    most: int


def classes(data: EvaluationData, who: str) -> Classes:
    """Looks through all masks once, before anything is learned.

    Args:
        data: What is evaluated on.
        who: Who wants to know, for errors.

    Raises:
        ValueError: If there are no masks, a split has no pixel that counts, or class
            numbers that have no name, or, where none has, that train does not have.
    """
    known = data.train.need_truth(who, "mask").classes
    train = _counts(data.train, data.train_limit, who)
    test = _counts(data.test, data.test_limit, who)
    names = known or tuple(str(i) for i in range(int(np.flatnonzero(train)[-1]) + 1))
    for source, found in ((data.train, train), (data.test, test)):
        beyond = np.flatnonzero(found[len(names) :]) + len(names)
        if len(beyond) and known:
            raise ValueError(
                f"Masks of {source.name!r} (split {source.split!r}) have the class "
                f"{beyond[0]}, and there are {len(names)}: {', '.join(names)}. Numbers "
                f"start at 0, and {IGNORED} is what does not count."
            )
        if len(beyond):
            raise ValueError(
                f"Test masks of {source.name!r} (split {source.split!r}) have the "
                f"class {beyond[0]}, and those of train go up to {len(names) - 1}. "
                "Train and test must have the same classes: take more of train, or if "
                "these are numbers of objects say instances=FEATURE."
            )
    return Classes(names, int(np.argmax(train[: len(names)])))


def cross_entropy(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean cross entropy of the pixels that count; 0 if none does.

    Args:
        logits: `(n, h, w, k)` float32.
        mask: `(n, h, w)` int32 classes; what is not in `[0, k)` does not count.
    """
    counts = (mask >= 0) & (mask < logits.shape[-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.where(counts, mask, 0), logits
    )
    weights = tf.cast(counts, losses.dtype)
    return tf.math.divide_no_nan(
        tf.reduce_sum(weights * losses), tf.reduce_sum(weights)
    )


def outcome(
    found: Iterable[tuple[int, np.ndarray, np.ndarray]], known: Classes
) -> Outcome:
    """Scores of predicted masks, over all pixels of all images together.

    Args:
        found: Numbers of the images, predicted and true masks, `(h, w)` each.
        known: The classes.

    Returns:
        `miou`, `pixel_accuracy`, `iou_<class>` of each class that is there, `dice` of
        the second class where there are two, and `guess_miou`: that of always saying
        the most frequent class of train.
    """
    count = len(known.names)
    index, tables = [], []
    for number, said, mask in found:
        index.append(number)
        tables.append(segmentation.confusion(said, mask, count))
    each = np.array(tables, np.int32)
    return per_image.outcome(
        np.array(index), lambda rows: _scores(each[rows].sum(axis=0), known)
    )


def _scores(table: np.ndarray, known: Classes) -> dict[str, float]:
    count = len(known.names)
    guess = np.zeros_like(table)
    guess[:, known.most] = table.sum(axis=1)
    numbers = {
        "miou": segmentation.mean_iou(table),
        "pixel_accuracy": segmentation.pixel_accuracy(table),
        "guess_miou": segmentation.mean_iou(guess),
    }
    if count == 2:
        numbers["dice"] = float(segmentation.dice(table)[1])
    each = segmentation.intersection_over_union(table)
    there = table.sum(axis=1) > 0
    return numbers | {
        f"iou_{known.names[i]}": float(each[i]) for i in np.flatnonzero(there)
    }


def said(logits: tf.Tensor) -> tf.Tensor:
    """The likeliest class of each pixel, `(n, h, w)` int32."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def _counts(source: Source, limit: int | None, who: str) -> np.ndarray:
    """How many pixels of a split are of each class number, but for ignored ones."""
    truth = source.need_truth(who, "mask")
    asked = tf.data.Dataset.from_tensor_slices(pipeline.subset(source.count, limit))

    def count(index: tf.Tensor) -> tf.Tensor:
        mask = tf.reshape(truth.read(index), [-1])
        mask = tf.boolean_mask(mask, mask != IGNORED)
        return tf.math.bincount(mask, minlength=IGNORED + 1)

    total = np.zeros(IGNORED + 1, np.int64)
    for counts in asked.map(count, tf.data.AUTOTUNE).ignore_errors():
        more = counts.numpy()
        if len(more) > len(total):
            raise ValueError(
                f"Masks of {source.name!r} have the class number {len(more) - 1}; "
                f"there can be {IGNORED} classes at most. If these are numbers of "
                "objects say instances=FEATURE."
            )
        total += more
    if not total.any():
        raise ValueError(
            f"All pixels of the masks of {source.name!r} (split {source.split!r}) are "
            f"{IGNORED}, which does not count, so there is nothing to learn or score. "
            "Was another feature meant?"
        )
    return total
