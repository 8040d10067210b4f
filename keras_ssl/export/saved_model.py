"""SavedModel of an encoder: images of any size, or recordings, in, features out."""

import os
import pathlib
import shutil
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_ssl.core import durable, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.known_output import KnownOutput
from keras_ssl.export.endpoints import Probe, endpoints

# Beside the SavedModel, so that a run can start from an export.
WEIGHTS = "keras_ssl_encoder.npz"
CARD = "model_card.md"
CLASSES = "classes.txt"


def export(
    encoder: keras.Model,
    path: str | os.PathLike[str],
    size: int,
    meta: dict,
    projector: keras.layers.Layer | None = None,
    probe: Probe | None = None,
    card: Callable[[pathlib.Path], str] | None = None,
) -> None:
    """Writes a SavedModel that needs nothing of keras_ssl to be loaded.

    Signatures to `{"features": (n, d) float32}`:
    `serving_default`, `images`: `(n, h, w, 3)` uint8 of any size;
    `serve_float`, `images`: the same as floats in [0, 1];
    `serve_image_bytes`, `image_bytes`: `(n,)` encoded JPEG, PNG, GIF or BMP images.
    Of an encoder of recordings: `serving_default`, `waveforms`: `(n, samples)` int16 of
    any length, shorter ones followed by zeros;
    `serve_float`, `waveforms`: the same as floats in [-1, 1].
    Further ones, of what `serving_default` takes: `features_by_layer` to a layer's mean
    over places `(n, c)` by its name, where an encoder has maps; `projection` to
    `{"projection": (n, p)}` and `logits` to `{"logits": (n, classes)}` where there is a
    projector and a probe.

    Args:
        encoder: A built encoder.
        path: Folder to make.
        size: Side that images are brought to before they are encoded; recordings are
            encoded whole.
        meta: What `weights_file` keeps beside the weights; the encoder's known output
            is added.
        projector: A built head of the features.
        probe: A classifier of the features; `classes.txt` then has its classes.
        card: Makes Markdown that says what it is, `model_card.md`, of the folder where
            the SavedModel is until it has it.

    Raises:
        ValueError: If `path` exists.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path} exists; give another --out, or remove it first.")
    found = endpoints(encoder, size, projector, probe)
    durable.sweep(path.parent, path.name)
    aside = durable.aside(path)
    archive = keras.export.ExportArchive()
    archive.track(encoder)
    if projector is not None:
        archive.track(projector)
    for name, (features, spec) in found.items():
        archive.add_endpoint(name, features, input_signature=[spec])
    arrays = weights_file.values(named_variables(encoder))
    needed = sum(array.nbytes for array in arrays.values())
    precision = meta.get("precision", keras.config.dtype_policy().name)
    noted = {"known_output": KnownOutput(encoder, size, precision)()}
    try:
        with durable.explained(path, needed):
            archive.write_out(str(aside), verbose=False)
            weights_file.save(aside / WEIGHTS, arrays, {**meta, **noted})
            if probe is not None:
                names = "".join(f"{name}\n" for name in probe.classes)
                (aside / CLASSES).write_text(names, encoding="utf-8")
            if card is not None:
                (aside / CARD).write_text(card(aside), encoding="utf-8")
            durable.sync_all(aside)
            aside.rename(path)
            durable.sync(path.parent)
    except tf.errors.OpError as error:
        raise durable.refused(path, error.message, needed) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
