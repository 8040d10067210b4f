"""Exports the encoder of a run."""

import pathlib

from keras_ssl.core import run_dir
from keras_ssl.export import saved_model
from keras_ssl.runs import encoders


def export(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    precision: str | None = None,
) -> str:
    """Writes a run's encoder as a SavedModel.

    Args:
        path: A run directory with a checkpoint.
        out: Folder to make; `export/` of the run if None.
        precision: Dtype policy to compute in; the run's if None.

    Returns:
        Where it was written.

    Raises:
        ValueError: If there is no checkpoint or `out` exists.
    """
    out = pathlib.Path(path) / run_dir.EXPORT if out is None else pathlib.Path(out)
    if out.exists():
        raise ValueError(f"{out} exists; give another --out, or remove it first.")
    encoder, meta = encoders.load(path, precision)
    saved_model.export(encoder, out, meta["image_size"], meta)
    return str(out)
