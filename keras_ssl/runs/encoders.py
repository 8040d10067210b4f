"""The encoder of a run or of an export, rebuilt with its weights."""

import os
import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.checkpoint import checkpoints
from keras_ssl.core import console, registry, run_dir, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.base import example_shape
from keras_ssl.export.saved_model import WEIGHTS


def load(
    path: str | os.PathLike[str], precision: str | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """Rebuilds the encoder of a run directory or of an export.

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        precision: Dtype policy to compute in; the run's if None.

    Returns:
        `(encoder, meta)`; `meta` has `name`, `config`, `image_size`, `precision` and
        `step`.

    Raises:
        ValueError: If there is neither, no checkpoint, or weights that do not fit.
    """
    arrays, meta = read(path)
    meta["precision"] = precision or meta["precision"]
    encoder = build(meta)
    weights_file.assign(named_variables(encoder), arrays, str(path))
    return encoder, meta


def build(meta: dict[str, Any]) -> keras.Model:
    """Makes an encoder from its record, with weights as they are initialised."""
    for plugin in meta.get("plugins", ()):
        registry.load(plugin)
    # In the run's precision, so that scores are those of the run.
    config = {**meta["config"], "dtype": meta["precision"]}
    kind: Any = registry.get("encoder", meta["name"])
    encoder = kind.from_config(config)
    size = meta["image_size"]
    # Weights are made by a first call; symbols would not reach every custom layer.
    encoder(tf.zeros([1, *example_shape(encoder, size)]), training=False)
    return encoder


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the encoder's weights and record without building anything.

    Returns:
        `(arrays, meta)`.

    Raises:
        ValueError: If `path` is neither a run with a checkpoint nor an export.
    """
    path = pathlib.Path(path)
    if (path / WEIGHTS).exists():
        return weights_file.load(path / WEIGHTS)
    record = run_dir.read_json(path / run_dir.RUN)
    if not record:
        raise ValueError(
            f"{path} is neither a run (no {run_dir.RUN}) nor an export (no {WEIGHTS})."
        )
    saved = checkpoints(path / run_dir.CHECKPOINTS)
    if not saved:
        raise ValueError(
            f"{path} has no checkpoint in {run_dir.CHECKPOINTS}/; train it first. "
            "What it holds now is an untrained encoder."
        )
    arrays, meta = weights_file.load(saved[-1])
    prefix = record["encoder"]["prefix"]
    mine = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
    return mine, {
        **record["encoder"],
        "step": int(meta["step"]),
        "plugins": record.get("plugins", []),
        "data": record["data"],
        "method": record["method"],
        "precision": record["precision"],
    }


def start_from(encoder: keras.Model, path: str) -> None:
    """Loads another run's or an export's encoder weights, in full or not at all.

    Raises:
        ValueError: If they do not fit.
    """
    arrays, meta = read(path)
    weights_file.assign(named_variables(encoder), arrays, path)
    console.say(
        f"Started from {path}: all {len(arrays)} variables of {meta['name']} matched."
    )
