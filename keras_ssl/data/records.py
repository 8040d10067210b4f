"""Random access to TFRecord files of any size.

Opening passes over the headers of the records once, from one to the next, without
reading what they hold; afterwards a record is read by its place, inside the graph.
"""

import concurrent.futures
import dataclasses
import io
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# A record: its length in 8 bytes, a checksum of 4, the content, a checksum of 4.
_BEFORE, _AFTER = 12, 4
# Waiting for a disk is what passing over the headers mostly is.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Records:
    """Where records begin.

    Attributes:
        files: Paths of the files.
        file: `(count,)` int32, the number of each record's file.
        offset: `(count,)` int64, where in its file it begins, bytes.
    """

    files: tuple[str, ...]
    file: np.ndarray
    offset: np.ndarray

    def __len__(self) -> int:
        return len(self.file)

    def part(self, rows: slice | np.ndarray) -> "Records":
        """Some of them."""
        return Records(self.files, self.file[rows], self.offset[rows])

    def where(self, index: int) -> str:
        """Says in words where a record is."""
        return f"{self.files[self.file[index]]}, at byte {self.offset[index]}"

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function of a scalar index that reads the record, a scalar string."""
        with tf.device("CPU"):
            names = tf.constant(self.files)
            file, offset = tf.constant(self.file), tf.constant(self.offset)

        def read(index: tf.Tensor) -> tf.Tensor:
            # `tf.data.TFRecordDataset` cannot be told where to begin, its op can.
            found = tf.raw_ops.TFRecordDatasetV2(
                filenames=names[file[index]][None],
                compression_type="",
                buffer_size=tf.constant(1 << 16, tf.int64),
                byte_offsets=offset[index][None],
            )
            spec = tf.TensorSpec([], tf.string)
            return (
                tf.data.experimental.from_variant(found, spec)
                .take(1)
                .get_single_element()
            )

        return read


class ReadLabels:
    """Labels that are read from their records when they are asked for.

    Those of records that cannot be read are -1; of several classes each 0, which
    counts neither way.

    Args:
        read: Maps a scalar index to its label, int64.
        count: How many there are.
        shape: Of one label: `()`, or `(classes,)` where an image may have several.
    """

    def __init__(
        self,
        read: Callable[[tf.Tensor], tf.Tensor],
        count: int,
        shape: tuple[int, ...] = (),
    ) -> None:
        self.read = read
        self._known = np.zeros(count, bool)
        self._labels = np.full((count, *shape), 0 if shape else -1, np.int64)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        asked = np.arange(len(self))[index]
        new = np.unique(asked[~self._known[asked]])
        if len(new):
            rows = tf.data.Dataset.from_tensor_slices(new)
            read = rows.map(lambda i: (i, self.read(i)), tf.data.AUTOTUNE)
            for at, labels in read.ignore_errors().batch(4096).as_numpy_iterator():
                self._labels[at] = labels
            self._known[new] = True
        return self._labels[asked]

    def __array__(
        self, dtype: type | None = None, copy: bool | None = None
    ) -> np.ndarray:
        return np.array(self[np.arange(len(self))], dtype)


def find(files: Sequence[str]) -> Records:
    """Passes over the headers of all records.

    Args:
        files: Uncompressed TFRecord files.

    Returns:
        The records, file by file.

    Raises:
        ValueError: If a file is compressed, no TFRecord file, truncated, or damaged in
            a record's length; which records are lost is said.
    """
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(_offsets, files))
    numbers = np.arange(len(files), dtype=np.int32)
    return Records(
        tuple(files),
        np.repeat(numbers, [len(offsets) for offsets in found]),
        np.concatenate([np.empty(0, np.int64), *found]),
    )


def _offsets(path: str) -> np.ndarray:
    """Where the records of one file begin."""
    remote = "://" in path
    size = tf.io.gfile.stat(path).length if remote else os.stat(path).st_size
    found: list[int] = []
    at = 0
    # Unbuffered, so that a seek reads nothing.
    with tf.io.gfile.GFile(path, "rb") if remote else io.FileIO(path) as file:
        while at < size:
            file.seek(at)
            header = file.read(8)
            length = struct.unpack("<Q", header)[0] if len(header) == 8 else size
            end = at + _BEFORE + length + _AFTER
            if end > size:
                raise ValueError(_what_is_wrong(path, file, [*found, at]))
            found.append(at)
            at = end
    return np.array(found, np.int64)


def _what_is_wrong(path: str, file: Any, begins: Sequence[int]) -> str:
    """Why no record can be found after the last of those that begin somewhere."""
    at = begins[-1]
    if at == 0:
        return (
            f"{path!r} is no TFRecord file, or a compressed one, in which no record "
            "can be found by its place. Give uncompressed TFRecord files."
        )
    # A length that is wrong may lead astray later, so all are looked at.
    for number, begin in enumerate(begins):
        file.seek(begin)
        header = file.read(_BEFORE)
        if len(header) == _BEFORE and not _intact(header):
            return (
                f"{path!r} is damaged: the length of its record {number}, at byte "
                f"{begin}, has a wrong checksum, so that this one and those after it "
                f"are lost; the {number} before it can be read. Copy the file again, "
                "or leave it out."
            )
    return (
        f"{path!r} ends within the record at byte {at}: it was not copied in full, and "
        f"has {len(begins) - 1} whole records. Copy it again, or leave it out."
    )


def _intact(header: bytes) -> bool:
    """Whether a record's length agrees with its checksum, a masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in header[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked == struct.unpack("<I", header[8:])[0]
