"""The encoder of a run or of an export, rebuilt with its weights.

On demand it is followed by the first layers of the run's projector.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.checkpoint import checkpoints
from keras_ssl.core import console, formats, registry, run_dir, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.base import example_shape
from keras_ssl.encoders.known_output import KnownOutput
from keras_ssl.encoders.projected import ProjectedEncoder
from keras_ssl.export.saved_model import WEIGHTS
from keras_ssl.runs import watch
from keras_ssl.runs.watch import OUTPUT


def load(
    path: str | os.PathLike[str],
    precision: str | None = None,
    projector_layers: int = 0,
) -> tuple[keras.Model, dict[str, Any]]:
    """Rebuilds the encoder of a run directory or of an export.

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        precision: Dtype policy to compute in; the run's if None.
        projector_layers: Layers of the run's projector that follow the encoder.

    Returns:
        `(encoder, meta)`; `meta` has `name`, `config`, `image_size`, `precision` and
        `step`.

    Raises:
        ValueError: If there is neither, no checkpoint, weights that do not fit, an
            encoder that computes something else than when they were saved, or no
            projector with so many layers.
    """
    arrays, meta = read(path, projector_layers)
    meta["precision"] = precision or meta["precision"]
    encoder = build(meta)
    variables = named_variables(encoder)
    if projector_layers:
        # The checkpoint holds the whole projector.
        arrays = {
            name: value
            for name, value in arrays.items()
            if name in variables or not name.startswith("projector/")
        }
    weights_file.assign(variables, arrays, str(path))
    # Of a run its product's output is known, which no projector follows.
    checked: Any = encoder.encoder if projector_layers else encoder
    KnownOutput(checked, meta["image_size"], meta["precision"]).check(
        meta.get(OUTPUT), str(path)
    )
    return encoder, meta


def projector(path: str | os.PathLike[str], precision: str | None = None) -> Any:
    """The whole projector of a run with its weights.

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        precision: As for `load`.

    Returns:
        The head; None where there is none of known width, or of an export.
    """
    path = pathlib.Path(path)
    record = run_dir.read_json(path / run_dir.RUN)
    found = record.get("projector")
    widths = found and found["config"].get("widths")
    if not widths:
        return None
    arrays, meta = read(path, len(widths))
    head = _first_layers(record, len(widths), path)
    policy = {"dtype": precision or meta["precision"]}
    head = type(head).from_config({**head.get_config(), **policy})
    head(tf.zeros([1, record["encoder"]["feature_dim"]]), training=False)
    mine = _below(arrays, "projector/")
    weights_file.assign(named_variables(head), mine, f"{path}, projector")
    return head


def check_trained(path: str | os.PathLike[str], meta: dict[str, Any]) -> None:
    """Refuses an encoder that was never trained; one that was loaded it only names.

    Args:
        path: Where it is.
        meta: What `read` returned of it.

    Raises:
        ValueError: If its weights are those that it was initialised with.
    """
    # What was converted from a released checkpoint has no steps of ours.
    step = None if "checkpoint" in meta else meta.get("step")
    why = meta.get("untrained") or ("its step is 0" if step == 0 else "")
    if not why:
        return
    if meta.get("init_from"):
        console.say(
            f"{path}: {why}, so that it is still the encoder of {meta['init_from']}."
        )
        return
    raise ValueError(
        f"{path} holds an encoder as it was initialised: {why}. Train it first, or "
        "give --subject=random_init to tools/evaluate.py if that is meant."
    )


def build(meta: dict[str, Any]) -> keras.Model:
    """Makes an encoder from its record, with weights as they are initialised."""
    _load_plugins(meta)
    # In the run's precision, so that scores are those of the run.
    config = {**meta["config"], "dtype": meta["precision"]}
    kind: Any = registry.get("encoder", meta["name"])
    encoder = kind.from_config(config)
    size = meta["image_size"]
    # Weights are made by a first call; symbols would not reach every custom layer.
    encoder(tf.zeros([1, *example_shape(encoder, size)]), training=False)
    return encoder


def read(
    path: str | os.PathLike[str], projector_layers: int = 0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the encoder's weights and record without building anything.

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        projector_layers: Layers of the run's projector that follow the encoder.

    Returns:
        `(arrays, meta)`; with projector layers all arrays of the projector.

    Raises:
        ValueError: If `path` is neither a run with a checkpoint nor an export, or has
            no projector with so many layers.
    """
    path = pathlib.Path(path)
    if (path / WEIGHTS).exists():
        if projector_layers:
            raise ValueError(
                f"{path} is an export, which has no projector beside what it serves; "
                "projector_layers needs the run that it came from."
            )
        arrays, meta = weights_file.load(path / WEIGHTS)
        formats.check(meta, path / WEIGHTS)
        return arrays, meta
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
    notes = meta.get("notes", {})
    run = {
        "step": int(meta["step"]),
        "plugins": record.get("plugins", []),
        "data": record["data"],
        "method": record["method"],
        "precision": record["precision"],
        "init_from": record.get("init_from"),
        "untrained": watch.untrained(int(meta["step"]), notes),
        OUTPUT: notes.get(OUTPUT),
    }
    encoder = record["encoder"]
    mine = _below(arrays, encoder["prefix"])
    if not projector_layers:
        return mine, {**encoder, **run}
    _load_plugins(run)
    head = _first_layers(record, projector_layers, path)
    follows = _below(arrays, record["projector"]["prefix"])
    # Names of our own, so that those of the variables are known beforehand.
    config = {
        "encoder": _named(encoder["name"], encoder["config"], "encoder"),
        "projector": _named(
            record["projector"]["name"], head.get_config(), "projector"
        ),
    }
    both = {f"encoder/{name}": value for name, value in mine.items()}
    both |= {f"projector/{name}": value for name, value in follows.items()}
    return both, {
        "name": ProjectedEncoder.__name__,
        "config": config,
        "feature_dim": int(head.output_width),
        "image_size": encoder["image_size"],
        **run,
    }


def _below(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Arrays whose names begin with a prefix, without it."""
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def _named(kind: str, config: dict[str, Any], name: str) -> dict[str, Any]:
    return {"name": kind, "config": {**config, "name": name}}


def _load_plugins(meta: dict[str, Any]) -> None:
    for plugin in meta.get("plugins", ()):
        registry.load(plugin)


def _first_layers(record: dict[str, Any], layers: int, path: pathlib.Path) -> Any:
    """The first layers of a run's projector, without weights.

    Raises:
        ValueError: If there is no projector with so many layers.
    """
    if "projector" not in record:
        raise ValueError(
            f"{path} was made before runs recorded their projectors, so its features "
            "come from the encoder alone: leave projector_layers out, or train anew."
        )
    if record["projector"] is None:
        raise ValueError(
            f"{record['method']}, which {path} trained, has no projector whose first "
            "layers could be taken, such as an MLP: leave projector_layers out."
        )
    kind: Any = registry.get("head", record["projector"]["name"])
    try:
        return kind.from_config(record["projector"]["config"]).first(layers)
    except ValueError as error:
        raise ValueError(f"No {layers} projector layers in {path}: {error}") from error


def start_from(
    encoder: keras.Model,
    path: str,
    exceptions: Sequence[str] = (),
    precision: str | None = None,
) -> None:
    """Loads another run's or an export's encoder weights, or nothing at all.

    Args:
        encoder: What to fill.
        path: A run directory with a checkpoint, or an exported SavedModel.
        exceptions: Patterns for `re.search` on names of variables. What fits keeps its
            initial value, or is left out; everything else must match.
        precision: Dtype policy that the encoder computes in; Keras's if None.

    Raises:
        ValueError: If they do not fit, an exception fits nothing, or the encoder
            computes something else than the one they are from.
    """
    arrays, meta = read(path)
    found = weights_file.assign(named_variables(encoder), arrays, path, exceptions)
    if why := meta.get("untrained"):
        console.say(f"{path}: {why}, so that it starts from what was never trained.")
    if found.kept or found.left_out:
        console.say(f"{path}: with exceptions, so what it computes is not checked.")
        return
    policy = precision or keras.config.dtype_policy().name
    known = KnownOutput(encoder, meta["image_size"], policy)
    known.check(meta.get(OUTPUT), path)


def check_start(
    path: str | None,
    exceptions: Sequence[str] = (),
    encoder: keras.Model | None = None,
) -> None:
    """Refuses what `start_from` would refuse by name, and loads nothing.

    Args:
        path: As there; None for a run that starts from nothing.
        exceptions: As there.
        encoder: What is to be filled; None while it is not built yet.

    Raises:
        ValueError: As there, but for what the encoder computes.
    """
    if path is None:
        if exceptions:
            raise ValueError(
                "init_from_except says what init_from leaves out; give both."
            )
        return
    arrays, _ = read(path)
    if encoder is not None:
        weights_file.check(named_variables(encoder), arrays, path, exceptions)
