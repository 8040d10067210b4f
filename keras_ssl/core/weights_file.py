"""Weights on disk: one `.npz`, whole or absent, checked when it is read.

Each array is stored under its variable's path. A zip keeps a CRC of every member, so
that a flipped byte or a file cut short is noticed; `meta` holds what else there is to
know, as JSON.
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.audit import Audit, compare
from keras_ssl.core.console import say

_META = "meta.json"
# RuntimeError: a flipped bit may ask zip for a feature that it has not.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
)


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Writes arrays and meta data aside, flushes them to disk, and renames.

    Args:
        path: Where to; its folder is made.
        arrays: Paths and values.
        meta: Anything that JSON can hold.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            text = np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8)
            members: dict[str, Any] = {_META: text, **arrays}
            np.savez(file, **members)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


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


def values(variables: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Copies of the variables' values, by path."""
    # Keras's own conversion does not know variables mirrored over replicas.
    return {k: tf.convert_to_tensor(v.value).numpy() for k, v in variables.items()}


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over all arrays in the order of their paths."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {value.dtype} {value.shape}\n".encode())
        total.update(value.tobytes())
    return total.hexdigest()
