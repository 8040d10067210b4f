"""SavedModel of an encoder: images of any size, or recordings, in, features out."""

import os
import pathlib
import shutil
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_ssl.core import durable, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.data.pipeline import amplitudes, square
from keras_ssl.encoders.base import kind
from keras_ssl.encoders.known_output import KnownOutput

# Beside the SavedModel, so that a run can start from an export.
WEIGHTS = "keras_ssl_encoder.npz"

# What maps a signature's input to features, and the input.
Endpoint = tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], tf.TensorSpec]


def export(
    encoder: keras.Model, path: str | os.PathLike[str], size: int, meta: dict
) -> None:
    """Writes a SavedModel that needs nothing of keras_ssl to be loaded.

    Signatures, all to `{"features": (n, d) float32}`:
    `serving_default`, `images`: `(n, h, w, 3)` uint8 of any size;
    `serve_float`, `images`: the same as floats in [0, 1];
    `serve_image_bytes`, `image_bytes`: `(n,)` encoded JPEG, PNG, GIF or BMP images.
    Of an encoder of recordings: `serving_default`, `waveforms`: `(n, samples)` int16 of
    any length, shorter ones followed by zeros;
    `serve_float`, `waveforms`: the same as floats in [-1, 1].

    Args:
        encoder: A built encoder.
        path: Folder to make.
        size: Side that images are brought to before they are encoded; recordings are
            encoded whole.
        meta: What `weights_file` keeps beside the weights; the encoder's known output
            is added.

    Raises:
        ValueError: If `path` exists.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path} exists; give another --out, or remove it first.")
    found = (
        _of_audio(encoder) if kind(encoder) == "audio" else _of_images(encoder, size)
    )
    durable.sweep(path.parent, path.name)
    aside = durable.aside(path)
    archive = keras.export.ExportArchive()
    archive.track(encoder)
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
            durable.sync_all(aside)
            aside.rename(path)
            durable.sync(path.parent)
    except tf.errors.OpError as error:
        raise durable.refused(path, error.message, needed) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _of_images(encoder: keras.Model, size: int) -> dict[str, Endpoint]:
    def features(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(square(x, size), training=False)}

    def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(data: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_image(data, 3, expand_animations=False)
            image = tf.ensure_shape(image, [None, None, 3])
            return square(image[None], size)[0]

        spec = tf.TensorSpec([size, size, 3], tf.float32)
        batch = tf.map_fn(one, image_bytes, fn_output_signature=spec)
        return {"features": encoder(batch, training=False)}

    shape = [None, None, None, 3]
    return {
        "serving_default": (features, tf.TensorSpec(shape, tf.uint8, "images")),
        "serve_float": (features, tf.TensorSpec(shape, tf.float32, "images")),
        "serve_image_bytes": (
            from_bytes,
            tf.TensorSpec([None], tf.string, "image_bytes"),
        ),
    }


def _of_audio(encoder: keras.Model) -> dict[str, Endpoint]:
    def features(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(amplitudes(x), training=False)}

    return {
        name: (features, tf.TensorSpec([None, None], dtype, "waveforms"))
        for name, dtype in (("serving_default", tf.int16), ("serve_float", tf.float32))
    }
