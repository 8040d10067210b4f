"""Batches on disk, for steps that are to be made again without the data."""

import pathlib
from typing import Any

import tensorflow as tf

from keras_ssl.core import weights_file


def path(folder: pathlib.Path, step: int) -> pathlib.Path:
    """Where the batch of a step is in a folder."""
    return folder / f"batch_{step:09d}.npz"


def steps(folder: pathlib.Path) -> list[int]:
    """Steps whose batches are in a folder, in order."""
    names = sorted(file.stem for file in folder.glob("batch_*.npz"))
    return [int(name.removeprefix("batch_")) for name in names]


def write(file: pathlib.Path, batch: dict[str, Any], step: int) -> None:
    """Writes a batch that `read` reads."""
    arrays = {k: v.numpy() for k, v in batch.items() if k != "views"}
    views = {f"views/{i:02d}": v.numpy() for i, v in enumerate(batch["views"])}
    weights_file.save(file, arrays | views, {"step": step})


def read(file: pathlib.Path) -> dict[str, Any]:
    """Reads what `write` wrote."""
    arrays, _ = weights_file.load(file)
    views = sorted(name for name in arrays if name.startswith("views/"))
    batch = {k: tf.constant(v) for k, v in arrays.items() if k not in views}
    return {**batch, "views": tuple(tf.constant(arrays[name]) for name in views)}
