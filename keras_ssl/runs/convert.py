"""A released checkpoint as an export of ours."""

import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import converters
from keras_ssl.converters import files
from keras_ssl.core import registry
from keras_ssl.core.registry import register
from keras_ssl.export import saved_model


@register("run")
def convert(
    checkpoint: str,
    converter: str,
    out: str,
    *,
    encoder: keras.Model,
    image_size: int = 224,
    prefix: str | None = None,
) -> converters.Report:
    """Fills an encoder from a checkpoint and exports it, with its weights beside.

    Scores, fine-tunes and `init_from` take what comes out as they take any export.

    Args:
        checkpoint: See `converters.files.read`.
        converter: Name of a function of `keras_ssl.converters`.
        out: Folder to make.
        encoder: An encoder of the checkpoint's kind and size.
        image_size: Side of the images it will be given.
        prefix: What the checkpoint's names begin with; found if None.

    Returns:
        What was assigned and what was left out.

    Raises:
        ValueError: If the converter is unknown, `out` exists, or the checkpoint cannot
            be read or does not fit; nothing is written then.
    """
    if converter not in converters.CONVERTERS:
        hint = registry.did_you_mean(converter, converters.CONVERTERS)
        raise ValueError(f"No converter {converter!r}.{hint}")
    if pathlib.Path(out).exists():
        raise ValueError(f"{out} exists; give another --out, or remove it first.")
    if image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}.")
    arrays = files.read(checkpoint)
    encoder(tf.zeros([1, image_size, image_size, 3]), training=False)
    report = converters.CONVERTERS[converter](arrays, encoder, prefix)
    meta: dict[str, Any] = {
        "name": registry.name_of(encoder),
        "config": encoder.get_config(),
        "feature_dim": int(encoder.feature_dim),
        "image_size": image_size,
        "precision": keras.config.dtype_policy().name,
        "step": 0,
        "method": converter,
        "checkpoint": pathlib.Path(checkpoint).name,
    }
    saved_model.export(encoder, out, image_size, meta)
    return report
