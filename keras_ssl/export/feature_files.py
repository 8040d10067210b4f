"""Files of features: NumPy's `.npz`, Parquet and TFRecord, written part by part.

None of the writers holds more than a part in memory.
"""

import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core import durable
from keras_ssl.export.feature_parts import FeatureParts


def write(parts: FeatureParts, path: pathlib.Path, kind: str) -> None:
    """Writes all parts as one file, whole or not at all.

    Args:
        parts: All of them.
        path: Where to.
        kind: Of `KINDS`.

    Raises:
        ValueError: If `path` exists.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    if path.exists():
        raise ValueError(f"{path} exists; remove it, or give another --out.")
    beside = durable.aside(path)
    with durable.explained(path):
        try:
            KINDS[kind](parts, beside)
            durable.sync(beside)
            beside.replace(path)
            durable.sync(path.parent)
        except tf.errors.OpError as error:
            raise durable.refused(path, error.message) from error
        finally:
            beside.unlink(missing_ok=True)


def check_kind(kind: str) -> None:
    """Refuses a kind of file that cannot be written here.

    Raises:
        ValueError: If there is none of that name, or what writes it is not installed.
    """
    if kind not in KINDS:
        raise ValueError(f"format must be one of {', '.join(KINDS)}, got {kind!r}.")
    if kind == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise ValueError(
                "Parquet is written by pyarrow, which is not installed: pip install "
                "'keras_ssl[parquet]', or take --format=npz."
            ) from error


def _npz(parts: FeatureParts, path: pathlib.Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in parts.names():
            shape, dtype = _shape(parts, name)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": shape,
                }
                np.lib.format.write_array_header_2_0(file, header)
                for array in parts.column(name):
                    file.write(np.ascontiguousarray(array, dtype).tobytes())


def _shape(parts: FeatureParts, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Of a whole column; texts are as wide as the widest."""
    rows, rest, found = 0, (), None
    for array in parts.column(name):
        rows, rest = rows + len(array), array.shape[1:]
        found = array.dtype if found is None else np.promote_types(found, array.dtype)
    return (rows, *rest), np.dtype(found)


def _parquet(parts: FeatureParts, path: pathlib.Path) -> None:
    import pyarrow
    from pyarrow import parquet

    def table(part: int) -> Any:
        return pyarrow.table(
            {name: column(array) for name, array in parts.read(part).items()}
        )

    def column(array: np.ndarray) -> Any:
        if array.ndim == 1:
            return pyarrow.array(array.tolist() if array.dtype.kind == "U" else array)
        flat = pyarrow.array(np.ascontiguousarray(array).reshape(-1))
        return pyarrow.FixedSizeListArray.from_arrays(flat, array.shape[1])

    filled = [p for p in range(len(parts)) if len(parts.read(p)["index"])]
    first = table(filled[0])
    with parquet.ParquetWriter(path, first.schema) as writer:
        for part in filled:
            writer.write_table(table(part))


def _tfrecord(parts: FeatureParts, path: pathlib.Path) -> None:
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for part in range(len(parts)):
            columns = parts.read(part)
            for row in range(len(columns["index"])):
                feature = {name: _feature(a[row]) for name, a in columns.items()}
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def _feature(value: np.ndarray) -> tf.train.Feature:
    """A number, a text or a vector of an example."""
    if value.dtype.kind == "U":
        data = tf.train.BytesList(value=[str(value).encode()])
        return tf.train.Feature(bytes_list=data)
    flat = np.atleast_1d(value)
    if value.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=flat))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=flat))


# How each kind of file is written; its name is also the file's ending.
KINDS: dict[str, Callable[[FeatureParts, pathlib.Path], None]] = {
    "npz": _npz,
    "parquet": _parquet,
    "tfrecord": _tfrecord,
}
