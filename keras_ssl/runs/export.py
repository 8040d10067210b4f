"""Exports the encoder of a run."""

import pathlib

from keras_ssl.core import run_dir
from keras_ssl.export import saved_model
from keras_ssl.runs import encoders


def export(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    precision: str | None = None,
    projector_layers: int = 0,
) -> str:
    """Writes a run's encoder as a SavedModel, with the start of its projector if asked.

    Args:
        path: A run directory with a checkpoint.
        out: Folder to make; `export/` of the run if None.
        precision: Dtype policy to compute in; the run's if None.
        projector_layers: Layers of the run's projector that follow the encoder, each
            with its norm and ReLU; 0 for the encoder alone.

    Returns:
        Where it was written.

    Raises:
        ValueError: If there is no checkpoint, `out` exists, the run has no projector
            with so many layers, or its encoder was never trained or computes something
            else than when it was saved.
    """
    out = pathlib.Path(path) / run_dir.EXPORT if out is None else pathlib.Path(out)
    if out.exists():
        raise ValueError(f"{out} exists; give another --out, or remove it first.")
    encoder, meta = encoders.load(path, precision, projector_layers)
    encoders.check_trained(path, meta)
    saved_model.export(encoder, out, meta["image_size"], meta)
    return str(out)
