"""Weights on disk: one `.npz`, whole or absent, checked when it is read.

Each array is stored under its variable's path. A zip keeps a CRC of every member, so
that a flipped byte or a file cut short is noticed, but none of its members' names: they
are listed in a member too, beside `meta`, which holds what else there is to know, as
JSON.
"""

import hashlib
import io
import json
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import durable, formats
from keras_ssl.core.audit import Audit, compare
from keras_ssl.core.console import say

_META = "meta.json"
# Within the meta data: of older files it is not known.
_NAMES = "names of all arrays"
# RuntimeError: a flipped bit may ask zip for a feature that it has not.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
    struct.error,
)


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Writes arrays and meta data aside, flushes them to disk, and renames.

    Args:
        path: Where to; its folder is made.
        arrays: Paths and values.
        meta: Anything that JSON can hold.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    words = json.dumps({**formats.stamp(), **meta, _NAMES: sorted(arrays)}).encode()
    members = {_META: np.frombuffer(words, np.uint8), **arrays}
    needed = len(words) + sum(np.asarray(a).nbytes for a in arrays.values())
    with (
        durable.replacing(path, needed=needed) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, value in members.items():
            # In small pieces, so that no array is copied.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), None, False)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `save` wrote.

    Returns:
        `(arrays, meta)`.

    Raises:
        ValueError: If the file is absent, cut short, damaged or of another kind.
    """
    if not pathlib.Path(path).is_file():
        raise ValueError(f"No weights file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                name.removesuffix(".npy"): _parse(archive.read(name))
                for name in archive.namelist()
            }
        meta = json.loads(arrays.pop(_META).tobytes())
        if sorted(arrays) != meta.pop(_NAMES, sorted(arrays)):
            raise ValueError("it has other arrays than were saved")
    except _DAMAGES as error:
        raise ValueError(
            f"{path} is damaged or not a weights file: {error}."
        ) from error
    return arrays, meta


def _parse(member: bytes) -> np.ndarray:
    """An array of bytes whose CRC is checked: `np.load` parses before it knows."""
    return np.lib.format.read_array(io.BytesIO(member), allow_pickle=False)


def assign(
    variables: Mapping[str, keras.Variable],
    arrays: Mapping[str, np.ndarray],
    source: str,
    exceptions: Sequence[str] = (),
) -> Audit:
    """Loads every variable and says so, or refuses and loads none.

    Args:
        variables: What to fill, by path.
        arrays: What `load` returned.
        source: What to call the file.
        exceptions: See `audit.compare`.

    Returns:
        What was found.

    Raises:
        ValueError: If names or shapes differ in any way that is not excepted, or an
            exception fits nothing.
    """
    found = check(variables, arrays, source, exceptions)
    for name in found.matched:
        variables[name].assign(arrays[name])
    say(f"{source}: {found}.")
    return found


def check(
    variables: Mapping[str, keras.Variable],
    arrays: Mapping[str, np.ndarray],
    source: str,
    exceptions: Sequence[str] = (),
) -> Audit:
    """Refuses what `assign` would refuse, and loads nothing; arguments as there."""
    found = compare(variables, arrays, exceptions)
    if not found.fits:
        raise ValueError(
            f"{source} does not fit: {found}. Nothing was loaded.{found.hint()}"
        )
    return found


def values(
    variables: Mapping[str, keras.Variable],
    into: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Copies of the variables' values, by path.

    Args:
        variables: By path, always the same ones for the same `into`.
        into: What an earlier call returned, to be written over: memory that is new
            to a process costs several times the copy.
    """
    # Keras's own conversion does not know variables mirrored over replicas.
    read = {k: tf.convert_to_tensor(v.value) for k, v in variables.items()}
    if not into:
        return {name: np.asarray(value.numpy()) for name, value in read.items()}
    for name, value in read.items():
        np.copyto(into[name], np.asarray(value), "no")
    return into


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over all arrays in the order of their paths."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {value.dtype} {value.shape}\n".encode())
        total.update(value.tobytes())
    return total.hexdigest()
