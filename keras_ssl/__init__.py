"""Self-supervised image representation learning on TensorFlow and Keras 3."""

import os
from typing import Any

__version__ = "0.1.0"


def load_encoder(
    path: str | os.PathLike[str],
    precision: str | None = None,
    projector_layers: int = 0,
) -> Any:
    """The encoder of a run or an export, as a Keras model for `fit`.

    Example:
        model = keras.Sequential([keras_ssl.load_encoder("runs/mine"),
                                  keras.layers.Dense(10)])

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        precision: Dtype policy to compute in; the run's if None.
        projector_layers: Layers of the run's projector that follow the encoder.

    Returns:
        A `keras.Model` that maps `(n, h, w, 3)` images in [0, 1], of the size it was
        trained on, to `(n, d)` float32 features; of recordings `(n, samples)` in
        [-1, 1].

    Raises:
        ValueError: If there is neither, no checkpoint, the encoder was never trained,
            weights do not fit, or there is no projector with so many layers.
    """
    # TensorFlow is not loaded by who asks for the version alone.
    from keras_ssl.runs import encoders, launch

    launch.load_parts()
    encoder, meta = encoders.load(path, precision, projector_layers)
    encoders.check_trained(path, meta)
    return encoder
