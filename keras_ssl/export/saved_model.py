"""SavedModel of an encoder: images of any size in, features out."""

import os
import pathlib
import shutil

import keras
import tensorflow as tf

from keras_ssl.core import weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.data.pipeline import square

# Beside the SavedModel, so that a run can start from an export.
WEIGHTS = "keras_ssl_encoder.npz"


def export(
    encoder: keras.Model, path: str | os.PathLike[str], size: int, meta: dict
) -> None:
    """Writes a SavedModel that needs nothing of keras_ssl to be loaded.

    Signatures, all to `{"features": (n, d) float32}`:
    `serving_default`, `images`: `(n, h, w, 3)` uint8 of any size;
    `serve_float`, `images`: the same as floats in [0, 1];
    `serve_image_bytes`, `image_bytes`: `(n,)` encoded JPEG, PNG, GIF or BMP images.

    Args:
        encoder: A built encoder.
        path: Folder to make.
        size: Side that images are brought to before they are encoded.
        meta: What `weights_file` keeps beside the weights.

    Raises:
        ValueError: If `path` exists.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path} exists; give another --out, or remove it first.")
    images = {
        "serving_default": tf.TensorSpec([None, None, None, 3], tf.uint8, "images"),
        "serve_float": tf.TensorSpec([None, None, None, 3], tf.float32, "images"),
    }

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

    aside = path.with_name(f".{path.name}.{os.getpid()}")
    archive = keras.export.ExportArchive()
    archive.track(encoder)
    for name, spec in images.items():
        archive.add_endpoint(name, features, input_signature=[spec])
    archive.add_endpoint(
        "serve_image_bytes",
        from_bytes,
        input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")],
    )
    try:
        archive.write_out(str(aside), verbose=False)
        weights_file.save(
            aside / WEIGHTS, weights_file.values(named_variables(encoder)), meta
        )
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
