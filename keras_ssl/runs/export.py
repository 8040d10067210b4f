"""Exports the encoder of a run."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import console, durable, run_dir
from keras_ssl.export import formats, saved_model, serving
from keras_ssl.export.endpoints import endpoints
from keras_ssl.runs import card, encoders, fitted_probe, served
from keras_ssl.runs.fitted_probe import ProbeData

SAVED_MODEL = "saved_model"


def export(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    precision: str | None = None,
    projector_layers: int = 0,
    probe: ProbeData | None = None,
    compared: int = 0,
) -> str:
    """Writes a run's encoder as a SavedModel, with the start of its projector if asked.

    Args:
        path: A run directory with a checkpoint, or another export.
        out: Folder to make; `export/` of the run if None.
        precision: Dtype policy to compute in; the run's if None.
        projector_layers: Layers of the run's projector that follow the encoder, each
            with its norm and ReLU; 0 for the encoder alone.
        probe: Data of a probe that is fitted and served as `logits`; none if None.
        compared: Examples on which the result is compared with the encoder, for the
            model card; 0 for not to.

    Returns:
        Where it was written.

    Raises:
        ValueError: If there is no checkpoint, `out` exists, the run has no projector
            with so many layers, its encoder was never trained or computes something
            else than when it was saved, or the probe's data do not fit.
    """
    path = pathlib.Path(path)
    out = path / run_dir.EXPORT if out is None else pathlib.Path(out)
    if out.exists():
        raise ValueError(f"{out} exists; give another --out, or remove it first.")
    encoder, meta = _trained(path, precision, projector_layers)
    size = meta["image_size"]
    # Of an encoder with a part of it, the whole would be another one's.
    projector = None if projector_layers else encoders.projector(path, precision)
    fitted = None if probe is None else fitted_probe.fit(encoder, meta, probe)
    names = list(endpoints(encoder, size, projector, fitted))

    def described(model: pathlib.Path) -> str:
        lines = []
        if compared:
            examples = served.real_examples(encoder, meta, compared, _data_dir(path))
            lines = [f"SavedModel, {served.compare(encoder, _float(model), examples)}"]
            console.say(lines[0])
        return card.card(path, meta, names, fitted, lines)

    saved_model.export(encoder, out, size, meta, projector, fitted, described)
    return str(out)


def write(
    path: str,
    out: str | None,
    kind: str,
    serve_as: str | None,
    precision: str | None,
    projector_layers: int,
    probe: ProbeData | None,
    compared: int,
) -> list[str]:
    """What `tools/export.py` does.

    Args:
        path: A run directory with a checkpoint, or another export.
        out: Where to.
        kind: `saved_model`, `onnx` or `litert`.
        serve_as: Name of a model of TensorFlow Serving, or None.
        precision: As for `export`.
        projector_layers: As for `export`.
        probe: As for `export`.
        compared: As for `export`.

    Returns:
        Lines that say what was written and how it is called.

    Raises:
        ValueError: As the functions of this module, or if options exclude each other.
    """
    if kind != SAVED_MODEL:
        if serve_as or probe or precision not in (None, "float32"):
            raise ValueError(
                f"A file of {kind} holds the encoder in float32 alone: leave out "
                "--serve_as, --probe and --precision, or take --format=saved_model."
            )
        made = export_file(path, kind, out, projector_layers, compared)
        return [f"Wrote {made}: floats in [0, 1] in, features out."]
    options: dict[str, Any] = {
        "precision": precision,
        "projector_layers": projector_layers,
        "probe": probe,
        "compared": compared,
    }
    if serve_as:
        if out is None:
            raise ValueError("--serve_as needs --out, the folder of served models.")
        made = serve(path, out, serve_as, **options)
        return [f"Wrote {made}. {pathlib.Path(out) / serving.GUIDE} says how to serve."]
    made = export(path, out, **options)
    return [
        f"Wrote {made}. Anywhere with TensorFlow:",
        f"  serve = tf.saved_model.load({made!r}).signatures['serving_default']",
        "  serve(images=uint8_images)['features']",
    ]


def serve(
    path: str | pathlib.Path, folder: str | pathlib.Path, name: str, **options: Any
) -> str:
    """Exports a run's encoder as the next version of a model of TensorFlow Serving.

    Args:
        path: A run directory with a checkpoint, or another export.
        folder: What is given to the server: `folder/name/1`, `folder/model.config` and
            `folder/SERVING.md` come into it.
        name: What requests call the model.
        **options: As of `export`.

    Returns:
        Where the version was written.

    Raises:
        ValueError: As `export`, if the name cannot be one, or the server's messages
            are not installed.
    """
    serving.check_installed()
    out = serving.next_version(folder, name)
    # The server takes a version up when it is there: with its warm-up file.
    beside = out.parent.parent / f".{name}.{out.name}"
    _, meta = encoders.read(path)
    try:
        export(path, beside, **options)
        serving.add_warm_up(beside, name, meta["image_size"])
        durable.sync_all(beside)
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(out)
    finally:
        durable.remove(beside)
    serving.write_config(folder)
    return str(out)


def export_file(
    path: str | pathlib.Path,
    kind: str,
    out: str | pathlib.Path | None = None,
    projector_layers: int = 0,
    compared: int = 0,
) -> str:
    """Writes a run's encoder as a file of another format, with a card beside it.

    Args:
        path: A run directory with a checkpoint, or another export.
        kind: `onnx` or `litert`.
        out: The file; `encoder.onnx` or `encoder.tflite` of the run if None.
        projector_layers: As for `export`.
        compared: As for `export`.

    Returns:
        Where it was written.

    Raises:
        ValueError: As `export`, or if what writes the format is not installed.
    """
    formats.check_installed(kind)
    path = pathlib.Path(path)
    ending = formats.FORMATS[kind].ending
    out = path / f"encoder{ending}" if out is None else pathlib.Path(out)
    if out.suffix != ending:
        raise ValueError(f"A file of {kind} ends in {ending}, got --out={out}.")
    # Both formats hold float32.
    encoder, meta = _trained(path, "float32", projector_layers)
    formats.write(encoder, out, kind, meta["image_size"])
    lines = []
    if compared:
        examples = served.real_examples(encoder, meta, compared, _data_dir(path))
        run = formats.load(out, kind)
        lines = [f"{kind}, {served.compare(encoder, run, examples)}"]
        console.say(lines[0])
    run_dir.write_text(
        out.with_suffix(f"{ending}.md"), card.card(path, meta, [], None, lines)
    )
    return str(out)


def _trained(
    path: pathlib.Path, precision: str | None, projector_layers: int
) -> tuple[keras.Model, dict[str, Any]]:
    encoder, meta = encoders.load(path, precision, projector_layers)
    encoders.check_trained(path, meta)
    return encoder, meta


def _data_dir(path: pathlib.Path) -> str | None:
    return run_dir.read_json(path / run_dir.RUN).get("data_dir")


def _float(model: pathlib.Path) -> Any:
    """The signature of a SavedModel that takes floats, as a function of arrays."""
    signature = tf.saved_model.load(str(model)).signatures["serve_float"]
    (name,) = signature.structured_input_signature[1]

    def run(batch: np.ndarray) -> np.ndarray:
        return signature(**{name: tf.constant(batch)})["features"].numpy()

    return run
