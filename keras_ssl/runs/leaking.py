"""Whether what a run was pretrained on holds what it is scored on."""

import pathlib
from typing import Any

import numpy as np

from keras_ssl.callbacks.pictures import draw_rows
from keras_ssl.core import run_dir
from keras_ssl.data import sources
from keras_ssl.evaluation.leakage import Found, Leakage


def of_run(
    path: pathlib.Path, meta: dict[str, Any], data_dir: str | None = None
) -> Leakage:
    """What looks for test images among those that a run or an export has seen.

    Args:
        path: A run directory or an export.
        meta: Its record, see `encoders.read`.
        data_dir: Where TFDS keeps data; the run's own if None.

    Raises:
        ValueError: If it is not known what it was pretrained on, or that is not there.
    """
    seen = meta.get("data") or {}
    if "source" not in seen:
        raise ValueError(
            f"{path} does not say what it was pretrained on, as released checkpoints "
            "do not, so near duplicates of test images cannot be looked for. Leave out "
            "--leakage."
        )
    record = run_dir.read_json(path / run_dir.RUN)
    folder = data_dir or record.get("data_dir")
    return Leakage(sources.open_source(seen["source"], seen["split"], folder))


def draw(
    path: pathlib.Path, leaks: Leakage, test: sources.Source, found: Found, count: int
) -> None:
    """Draws the most similar pairs and the least similar ones, as a PNG.

    Args:
        path: Where to.
        leaks: What found them.
        test: What was looked up.
        found: The near duplicates.
        count: Most pairs that are drawn.
    """
    if not len(found.rows):
        return
    order = np.argsort(-found.similarity, kind="stable")
    half = (count + 1) // 2
    if len(order) > count:
        order = np.concatenate([order[:half], order[half - count :]])
    pairs = [
        (test.try_read(int(a)), leaks.pretraining.try_read(int(b)))
        for a, b in zip(found.rows[order], found.matches[order], strict=True)
    ]
    shown = [
        (a.numpy(), b.numpy()) for a, b in pairs if a is not None and b is not None
    ]
    draw_rows(
        path,
        {"test": [a for a, _ in shown], "pretraining": [b for _, b in shown]},
    )
