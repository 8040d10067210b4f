"""Data sets of tensorflow_datasets, of images or of recordings.

Small images of one size are read once into memory, decoded. All others stay where they
are, and are read record by record.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.data import tfds_labels, tfds_records, tfds_truth
from keras_ssl.data.prepare import prepare
from keras_ssl.data.sources import Source, from_files
from keras_ssl.data.tfds_labels import TfdsLabels
from keras_ssl.data.tfds_records import from_records
from keras_ssl.data.truth import Truth

_OPTIONS = ("image", "audio", "label", "certain", *tfds_truth.OPTIONS)

# Decoded images beyond this stay in their files.
_DECODED_LIMIT = 4 << 30
_ENCODED_LIMIT = 12 << 30


@register("dataset", "tfds")
def open_tfds(name: str, split: str, data_dir: str | None = None) -> Source:
    """A set of tensorflow_datasets by name, such as `tfds:cifar10`.

    Args:
        name: `NAME`, `NAME/CONFIG` or `NAME:VERSION`. After a `?` follow options,
            joined by `&`: `image=FEATURE`, which holds images, `image` by default, or
            `audio=FEATURE`, which holds recordings; `label=FEATURE`, the classes,
            `label` by default. Such as `fsdd?audio=audio&label=speaker`. A sequence of
            classes makes a set of several labels an image: `bccd?label=objects/label`.
            Of these `certain=FEATURE` has those that are beyond doubt; others count
            neither way: `voc/2007?label=labels&certain=labels_no_difficult`. What is
            true of places (see `data.truth`) is asked for by one of `mask=FEATURE` (a
            class at each pixel), `instances=FEATURE` (the number of an object at each,
            0 the background; objects are one class), `depth=FEATURE`, and
            `boxes=FEATURE` with `box_label=FEATURE`, such as
            `bccd?boxes=objects/bbox&box_label=objects/label`.
        split: A split or a part of one, as TFDS writes it: `train[:10%]`.
        data_dir: Where TFDS keeps data.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such set, split, feature or option, or it does not
            fit in memory.
    """
    import tensorflow_datasets as tfds  # Takes seconds: only who needs it pays.

    full = f"tfds:{name}"
    name, options = _options(name)
    folder = None if data_dir is None else os.path.abspath(data_dir)
    try:
        builder = tfds.builder(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise ValueError(
            f"TFDS has no data set {name!r}{_where(folder)}. Check the name, or give "
            "--data_dir if it was prepared elsewhere."
        ) from error
    return from_builder(full, builder, split, options)


def count(name: str, split: str, data_dir: str | None = None) -> int | None:
    """Examples of a split as far as TFDS knows without preparing the set.

    Args:
        name: As for `open_tfds`.
        split: A split or a part of one.
        data_dir: Where TFDS keeps data.

    Returns:
        Their number; None where it is not known here.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(_options(name)[0], data_dir=data_dir)
        return int(builder.info.splits[split].num_examples) or None
    except (tfds.core.DatasetNotFoundError, ValueError, KeyError):
        return None


def _options(name: str) -> tuple[str, dict[str, str]]:
    """The set's name and its options."""
    name, _, text = name.partition("?")
    pairs = [option.partition("=") for option in text.split("&") if option]
    options = {key: value for key, _, value in pairs}
    bad = any(key not in _OPTIONS or not value for key, _, value in pairs)
    if bad or {"image", "audio"} <= options.keys():
        raise ValueError(
            "tfds: knows the options image=FEATURE or audio=FEATURE, label=FEATURE, "
            "certain=FEATURE and one of mask=, instances=, depth= and boxes=FEATURE, "
            f"the last one with box_label=FEATURE; got {text!r}."
        )
    return name, options


def from_builder(
    name: str, builder: Any, split: str, options: Mapping[str, str] | None = None
) -> Source:
    """Reads a split of a TFDS builder, preparing it first where it is not yet.

    Args:
        name: What the source is called.
        builder: The builder.
        split: A split or a part of one.
        options: Which features are read, see `open_tfds`.

    Returns:
        The source.

    Raises:
        ValueError: If it cannot be prepared or has no such split or features.
    """
    import tensorflow_datasets as tfds

    builder = prepare(name, builder)
    try:
        info = builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{name!r} has no split {split!r}; it has "
            f"{', '.join(sorted(builder.info.splits))}."
        ) from error
    features, audio = builder.info.features, "audio" in (options or {})
    key, label = _chosen(name, features, options or {})
    if not info.num_examples:
        raise ValueError(f"Split {split!r} of {name!r} is empty.")
    truth = _truth(name, split, builder, info, options or {})
    shape = features[key].shape
    static = None not in shape and np.prod(shape) * info.num_examples < _DECODED_LIMIT
    kept_as = builder.info.file_format.value
    if (audio or not static) and kept_as == "tfrecord":
        made = from_records(name, split, info, features, key, label, audio)
        return dataclasses.replace(made, truth=truth)
    if audio:
        raise ValueError(
            f"{name!r} is kept in {kept_as} files; recordings are read from tfrecord "
            "files only. Prepare it with file_format='tfrecord'."
        )
    if not static and info.num_bytes > _ENCODED_LIMIT:
        raise ValueError(
            f"Split {split!r} of {name!r} has {info.num_bytes >> 30} GiB in {kept_as} "
            f"files; beyond {_ENCODED_LIMIT >> 30} GiB only tfrecord files are read. "
            "Prepare it with file_format='tfrecord', or take a part of it, such as "
            "'train[:10%]'."
        )
    wanted = {key: True, **(label.wanted() if label else {})}
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        # One file after the other: the order is part of what an index means.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
        decoders=tfds.decode.PartialDecoding(
            wanted, decoders=None if static else {key: tfds.decode.SkipDecoding()}
        ),
    ).map(
        lambda row: {
            "image": row[key],
            **({"label": label.of(row)} if label else {}),
        }
    )
    read = _decoded if static else _encoded
    images, labels = read(dataset, info.num_examples, shape, label)
    classes = label.names if label else None
    count, several = info.num_examples, label is not None and label.several
    if static:
        shape = (shape[0], shape[1], 3)
        made = Source(name, split, count, shape, images, labels, classes)
    else:
        made = from_files(name, split, count, images, labels, classes)
    return dataclasses.replace(made, multi_label=several, truth=truth)


def _truth(
    name: str, split: str, builder: Any, info: Any, options: Mapping[str, str]
) -> Truth | None:
    """What is true of the images, read from their records one by one."""
    features, kept_as = builder.info.features, builder.info.file_format.value

    def rows() -> Any:
        if kept_as != "tfrecord":
            raise ValueError(
                f"{name!r} is kept in {kept_as} files; masks, depth and boxes are read "
                "from tfrecord files only. Prepare it with file_format='tfrecord'."
            )
        return tfds_records.rows_of(tfds_records.located(name, split, info), features)

    return tfds_truth.find(name, features, options, rows)


def _chosen(
    name: str, features: Any, options: Mapping[str, str]
) -> tuple[str, TfdsLabels | None]:
    """The feature that holds the images or recordings, and the classes."""
    key = options.get("audio", options.get("image", "image"))
    if key not in features:
        raise ValueError(
            f"{name!r} has no feature {key!r}; it has {sorted(features)}. Say "
            "which to read: ?image=FEATURE or ?audio=FEATURE, and label=FEATURE."
        )
    if len(features[key].shape) != (1 if "audio" in options else 3):
        raise ValueError(
            f"Feature {key!r} of {name!r} has shape {features[key].shape}: it "
            "holds no images (h, w, c), or recordings (samples,) where ?audio= is said."
        )
    return key, tfds_labels.find(name, features, options)


def _decoded(
    dataset: tf.data.Dataset,
    count: int,
    shape: tuple[int, ...],
    label: TfdsLabels | None,
) -> tuple[Any, np.ndarray | None]:
    images = np.empty((count, shape[0], shape[1], 3), np.uint8)
    labels = np.empty((count, *(label.shape if label else ())), np.int64)
    at = 0
    for batch in dataset.batch(1024).prefetch(2).as_numpy_iterator():
        rows = slice(at, at + len(batch["image"]))
        # Broadcasts a grey channel to three.
        images[rows] = batch["image"]
        if label:
            labels[rows] = batch["label"]
        at = rows.stop
    with tf.device("CPU"):
        held = tf.constant(images)
    return (lambda index: tf.gather(held, index)), labels if label else None


def _encoded(
    dataset: tf.data.Dataset,
    count: int,
    shape: tuple[int, ...],
    label: TfdsLabels | None,
) -> tuple[Any, np.ndarray | None]:
    rows = list(dataset.as_numpy_iterator())
    with tf.device("CPU"):
        held = tf.constant([row["image"] for row in rows])

    del count, shape
    labels = np.array([row["label"] for row in rows], np.int64) if label else None
    return (lambda index: held[index]), labels


def _where(folder: str | None) -> str:
    return "" if folder is None else f" (nor is it in {folder})"
