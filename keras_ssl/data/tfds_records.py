"""Examples of a TFDS set that are read record by record, of a set of any size."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data import records
from keras_ssl.data.sources import Source, from_files
from keras_ssl.data.tfds_labels import TfdsLabels


def from_records(
    name: str,
    split: str,
    info: Any,
    features: Any,
    key: str,
    label: TfdsLabels | None,
    audio: bool,
) -> Source:
    """Examples and labels by the places of their records.

    Args:
        name: What the source is called.
        split: What its split is called.
        info: The split, as TFDS describes it.
        features: The set's features.
        key: The one that holds images or recordings.
        label: How labels are read, if there are any.
        audio: Whether it holds recordings.

    Returns:
        The source.

    Raises:
        ValueError: If its files have not the records that they should.
    """
    import tensorflow_datasets as tfds  # Takes seconds: only who needs it pays.

    found = located(name, split, info)
    row = rows_of(found, features)

    def encoded(index: tf.Tensor) -> tf.Tensor:
        return row(index, key, **{key: tfds.decode.SkipDecoding()})[key]

    labels: Any = {}
    if label is not None:
        held = records.ReadLabels(
            lambda index: label.of(row(index, *label.wanted())), len(found), label.shape
        )
        labels = {
            "labels": held,
            "classes": label.names,
            "multi_label": label.several,
        }
    source = from_files(name, split, len(found), encoded, where=found.where)
    if audio:
        source = dataclasses.replace(
            source,
            read=lambda index: _int16(row(index, key)[key]),
            encoded=None,
            kind="audio",
        )
    return dataclasses.replace(source, **labels)


def located(name: str, split: str, info: Any) -> records.Records:
    """Where the records of a split are, in the order of its examples.

    Args:
        name: What the source is called.
        split: What its split is called.
        info: The split, as TFDS describes it.

    Raises:
        ValueError: If its files have not the records that they should.
    """
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
    return found


def rows_of(found: records.Records, features: Any) -> Callable[..., Any]:
    """What maps a scalar index and names of features to these, by name.

    Args:
        found: The records.
        features: The set's features.
    """
    import tensorflow_datasets as tfds

    read = found.reader()

    def row(index: tf.Tensor, *keys: str, **decoders: Any) -> Any:
        some = tfds.features.FeaturesDict({key: features[key] for key in keys})
        return some.deserialize_example(read(index), decoders=decoders)

    return row


def _int16(waveform: tf.Tensor) -> tf.Tensor:
    """A recording as 16 bits, in which it is kept whatever the feature's type."""
    if waveform.dtype.is_floating:
        waveform = tf.round(tf.clip_by_value(waveform, -1.0, 1.0) * (2.0**15 - 1))
    return tf.ensure_shape(tf.cast(waveform, tf.int16), [None])


def _take(part: Any) -> int | None:
    """How many records of a file belong to a split; TFDS writes -1 for all."""
    return None if part.take < 0 else part.take
