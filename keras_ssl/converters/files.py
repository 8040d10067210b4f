"""Checkpoint files of several kinds, read as names and arrays."""

import argparse
import json
import os
import pathlib
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.converters.base import flatten

_TORCH = (".pth", ".pt", ".tar", ".bin", ".ckpt")
_KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
    # The upper half of a float32: widened when it is read.
    "BF16": "<u2",
}


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint; nested names are joined by dots.

    Args:
        path: `.npz`, `.safetensors`, `.pth` and its like (through torch, which must be
            installed then), or a checkpoint of TensorFlow: its prefix without `.index`,
            or a folder that has one or is a SavedModel or hub module.

    Returns:
        Names and arrays.

    Raises:
        ValueError: If there is no such file, it is damaged, of an unknown kind, or
            needs torch where there is none.
    """
    path = pathlib.Path(path).expanduser()
    if prefix := _tensorflow_prefix(path):
        return _from_tensorflow(prefix)
    if not path.is_file():
        raise ValueError(f"No checkpoint {path}.")
    readers = {".npz": _from_npz, ".safetensors": _from_safetensors}
    readers |= dict.fromkeys(_TORCH, _from_torch)
    if path.suffix not in readers:
        raise ValueError(
            f"{path} is of an unknown kind; known are {', '.join(readers)} and "
            "TensorFlow's."
        )
    return readers[path.suffix](path)


def _from_npz(path: pathlib.Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged or not an .npz: {error}.") from error


def _from_safetensors(path: pathlib.Path) -> dict[str, Any]:
    """Length of a JSON header, the header, and the arrays one after another."""
    data = path.read_bytes()
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(data)[8 + length :]
        return {name: _tensor(body, **entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise ValueError(f"{path} is damaged or no safetensors: {error}.") from error


def _tensor(
    body: memoryview, dtype: str, shape: list[int], data_offsets: list[int]
) -> np.ndarray:
    begin, end = data_offsets
    flat = np.frombuffer(body[begin:end], _KINDS[dtype])
    if dtype == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.reshape(shape)


def _from_torch(path: pathlib.Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f"{path} is PyTorch's, and torch is not installed here. Install it (the "
            "CPU build will do), or make an .npz where it is: " + _to_npz(path, "")
        ) from error
    # Command lines are what checkpoints most often hold beside weights.
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"torch does not read {path} as weights alone: {error}. If you trust its "
            "source, make an .npz of it: " + _to_npz(path, ", weights_only=False")
        ) from error
    if hasattr(tree, "state_dict"):
        tree = tree.state_dict()
    arrays = flatten(tree)
    return {k: v.detach().float().numpy() for k, v in arrays.items()}


def _to_npz(path: pathlib.Path, how: str) -> str:
    """A command that makes an `.npz` of a PyTorch file where torch is."""
    return (
        'python -c "import numpy, torch; '
        f"s = torch.load({str(path)!r}, map_location='cpu'{how}); "
        "s = s.get('state_dict', s.get('model', s)); numpy.savez('weights.npz', "
        "**{k: v.float().numpy() for k, v in s.items() if hasattr(v, 'numpy')})\""
    )


def _tensorflow_prefix(path: pathlib.Path) -> str | None:
    """What `tf.train.load_checkpoint` wants, if it is one of TensorFlow."""
    for prefix in (path, path / "variables" / "variables"):
        if pathlib.Path(f"{prefix}.index").is_file():
            return str(prefix)
    if path.is_dir():
        latest = tf.train.latest_checkpoint(str(path))
        if latest is None:
            raise ValueError(f"{path} is a folder without a TensorFlow checkpoint.")
        return str(latest)
    return None


def _from_tensorflow(prefix: str) -> dict[str, Any]:
    try:
        reader = tf.train.load_checkpoint(prefix)
        types = reader.get_variable_to_dtype_map()
        return {
            name: reader.get_tensor(name)
            for name, dtype in types.items()
            if dtype.is_floating or dtype.is_integer
        }
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ValueError(f"{prefix} is damaged or no checkpoint: {error}.") from error
