"""Encoders of other runs as parts of a recipe: a teacher, or a student of its kind."""

import keras

from keras_ssl.core import console
from keras_ssl.core.registry import register
from keras_ssl.runs import encoders


@register("encoder")
def Trained(run: str, projector_layers: int = 0) -> keras.Model:  # noqa: N802
    """The encoder of a finished run or of an export, with its weights.

    Args:
        run: A run directory with a checkpoint, or an exported SavedModel.
        projector_layers: Layers of the run's projector that follow the encoder.

    Returns:
        The model, in the precision of the present run.

    Raises:
        ValueError: If there is no such run, or its weights do not fit.
    """
    policy = keras.config.dtype_policy().name
    encoder, meta = encoders.load(run, policy, projector_layers)
    console.say(f"{meta['name']} of {run}, as it was after step {meta['step']}.")
    return encoder


@register("encoder")
def Untrained(run: str) -> keras.Model:  # noqa: N802
    """An encoder as that of another run was before its first step, drawn anew.

    Args:
        run: A run directory with a checkpoint, or an exported SavedModel.

    Returns:
        The model, in the precision of the present run.

    Raises:
        ValueError: If there is no such run.
    """
    _, meta = encoders.read(run)
    return encoders.build({**meta, "precision": keras.config.dtype_policy().name})
