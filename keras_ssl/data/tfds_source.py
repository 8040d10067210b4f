"""Data sets of tensorflow_datasets.

Small images of one size are read once into memory, decoded. All others stay where they
are, and are read record by record.
"""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core.console import say
from keras_ssl.core.registry import register
from keras_ssl.data import records
from keras_ssl.data.sources import Source, from_files

# Decoded images beyond this stay in their files.
_DECODED_LIMIT = 4 << 30
_ENCODED_LIMIT = 12 << 30


@register("dataset", "tfds")
def open_tfds(name: str, split: str, data_dir: str | None = None) -> Source:
    """A set of tensorflow_datasets by name, such as `tfds:cifar10`.

    Args:
        name: `NAME`, `NAME/CONFIG` or `NAME:VERSION`.
        split: A split or a part of one, as TFDS writes it: `train[:10%]`.
        data_dir: Where TFDS keeps data.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such set or split, or it does not fit in memory.
    """
    import tensorflow_datasets as tfds  # Takes seconds: only who needs it pays.

    folder = None if data_dir is None else os.path.abspath(data_dir)
    try:
        builder = tfds.builder(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise ValueError(
            f"TFDS has no data set {name!r}{_where(folder)}. Check the name, or give "
            "--data_dir if it was prepared elsewhere."
        ) from error
    return from_builder(f"tfds:{name}", builder, split)


def from_builder(name: str, builder: Any, split: str) -> Source:
    """Reads a split of a TFDS builder, preparing it first where it is not yet.

    Raises:
        ValueError: If it cannot be prepared or has no such split or no images.
    """
    import tensorflow_datasets as tfds

    _prepare(name, builder)
    try:
        info = builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{name!r} has no split {split!r}; it has "
            f"{', '.join(sorted(builder.info.splits))}."
        ) from error
    features = builder.info.features
    if "image" not in features:
        raise ValueError(f"{name!r} has no feature 'image'; it has {sorted(features)}.")
    if not info.num_examples:
        raise ValueError(f"Split {split!r} of {name!r} is empty.")
    label = dict(features.items()).get("label")
    labelled = isinstance(label, tfds.features.ClassLabel)
    shape = features["image"].shape
    static = None not in shape and np.prod(shape) * info.num_examples < _DECODED_LIMIT
    classes = tuple(label.names) if label is not None and labelled else None
    kept_as = builder.info.file_format.value
    if not static and kept_as == "tfrecord":
        return _from_records(name, split, info, features, classes)
    if not static and info.num_bytes > _ENCODED_LIMIT:
        raise ValueError(
            f"Split {split!r} of {name!r} has {info.num_bytes >> 30} GiB in {kept_as} "
            f"files; beyond {_ENCODED_LIMIT >> 30} GiB only tfrecord files are read. "
            "Prepare it with file_format='tfrecord', or take a part of it, such as "
            "'train[:10%]'."
        )
    wanted = {"image": True, **({"label": True} if labelled else {})}
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        # One file after the other: the order is part of what an index means.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
        decoders=tfds.decode.PartialDecoding(
            wanted, decoders=None if static else {"image": tfds.decode.SkipDecoding()}
        ),
    )
    read = _decoded if static else _encoded
    images, labels = read(dataset, info.num_examples, shape, labelled)
    return Source(
        name=name,
        split=split,
        count=info.num_examples,
        shape=(shape[0], shape[1], 3) if static else None,
        read=images,
        labels=labels,
        classes=classes,
    )


def _from_records(
    name: str, split: str, info: Any, features: Any, classes: tuple[str, ...] | None
) -> Source:
    """Images and labels by the places of their records, of a set of any size."""
    import tensorflow_datasets as tfds

    parts = info.file_instructions
    whole = records.find([part.filename for part in parts])
    rows = [
        np.flatnonzero(whole.file == number)[part.skip :][: _take(part)]
        for number, part in enumerate(parts)
    ]
    found = whole.part(np.concatenate(rows))
    if len(found) != info.num_examples:
        raise ValueError(
            f"Split {split!r} of {name!r} should have {info.num_examples} records, its "
            f"files have {len(found)}. Prepare it again."
        )
    read = found.reader()

    def feature(key: str, index: tf.Tensor, **decoders: Any) -> tf.Tensor:
        alone = tfds.features.FeaturesDict({key: features[key]})
        return alone.deserialize_example(read(index), decoders=decoders)[key]

    def encoded(index: tf.Tensor) -> tf.Tensor:
        return feature("image", index, image=tfds.decode.SkipDecoding())

    labels = None
    if classes is not None:
        labels = records.ReadLabels(lambda i: feature("label", i), len(found))
    return from_files(name, split, len(found), encoded, labels, classes, found.where)


def _take(part: Any) -> int | None:
    """How many records of a file belong to a split; TFDS writes -1 for all."""
    return None if part.take < 0 else part.take


def _prepare(name: str, builder: Any) -> None:
    """Makes or downloads the set unless it is on disk."""
    if tf.io.gfile.exists(builder.data_dir):
        return
    import tensorflow_datasets as tfds

    say(f"Preparing {name} in {builder.data_dir} (once).")
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare()
    except PermissionError as error:
        raise ValueError(
            f"Cannot write {builder.data_dir} to prepare {name!r}; give a --data_dir "
            "that can be written."
        ) from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error) else ""
        raise ValueError(
            f"{name!r} is not in {builder.data_dir} and could not be prepared "
            f"({type(error).__name__}: {reason}). Prepare it where there is a network, "
            "and give its folder by --data_dir."
        ) from error


def _decoded(
    dataset: tf.data.Dataset, count: int, shape: tuple[int, ...], labelled: bool
) -> tuple[Any, np.ndarray | None]:
    images = np.empty((count, shape[0], shape[1], 3), np.uint8)
    labels = np.empty((count,), np.int64)
    at = 0
    for batch in dataset.batch(1024).prefetch(2).as_numpy_iterator():
        rows = slice(at, at + len(batch["image"]))
        # Broadcasts a grey channel to three.
        images[rows] = batch["image"]
        if labelled:
            labels[rows] = batch["label"]
        at = rows.stop
    with tf.device("CPU"):
        held = tf.constant(images)
    return (lambda index: tf.gather(held, index)), labels if labelled else None


def _encoded(
    dataset: tf.data.Dataset, count: int, shape: tuple[int, ...], labelled: bool
) -> tuple[Any, np.ndarray | None]:
    rows = list(dataset.as_numpy_iterator())
    with tf.device("CPU"):
        held = tf.constant([row["image"] for row in rows])

    def read(index: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(held[index], 3, expand_animations=False)
        return tf.ensure_shape(image, [None, None, 3])

    del count, shape
    labels = np.array([row["label"] for row in rows], np.int64) if labelled else None
    return read, labels


def _where(folder: str | None) -> str:
    return "" if folder is None else f" (nor is it in {folder})"


@register("dataset", "embedded")
def open_embedded(name: str, split: str, data_dir: str | None = None) -> Source:
    """The set that comes with the project: drawn scenes of ten classes.

    Args:
        name: `32` or `64`, the side in pixels.
        split: `train` or `test`, or a part as TFDS writes it.
        data_dir: Where TFDS keeps data; it is made there on first use.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such size or split.
    """
    from keras_ssl.data.embedded.builder import EmbeddedScenes

    sizes = [config.name for config in EmbeddedScenes.BUILDER_CONFIGS]
    if name not in sizes:
        raise ValueError(
            f"The embedded set comes in sizes {', '.join(sizes)}; got {name!r}. Say "
            f"embedded:{sizes[0]}."
        )
    folder = None if data_dir is None else os.path.abspath(data_dir)
    builder = EmbeddedScenes(config=name, data_dir=folder)
    return from_builder(f"embedded:{name}", builder, split)
