"""What is registered, and what a recipe's views look like."""

import os
from typing import Any

from keras_ssl.callbacks.pictures import draw_views
from keras_ssl.core import config, registry
from keras_ssl.data import sources


def rows(kind: str | None = None) -> list[dict[str, Any]]:
    """A row for each registered part.

    Args:
        kind: One kind only.

    Returns:
        For a method `name`, `summary`, `paper`, `year`, `family` and `config` (its
        recipe's path below `gin_configs/`, empty if it has none there); for others
        `kind`, `name`, `summary` and `module`.

    Raises:
        ValueError: If the kind is unknown.
    """
    found: list[dict[str, Any]] = []
    for entry in registry.entries(kind):
        row = {"name": entry.name, "summary": entry.summary}
        if kind == "method":
            row |= {name: getattr(entry.target, name) for name in _DECLARED}
            row["config"] = recipe(entry)
        else:
            row = {"kind": entry.kind, **row, "module": entry.module}
        found.append(row)
    return found


_DECLARED = ("paper", "year", "family")


def recipe(entry: registry.Entry) -> str:
    """`methods/<module>.gin` of a method if there is one, else ''."""
    name = f"methods/{entry.module.split('.')[-1]}.gin"
    return name if name in config.shipped() else ""


def draw(out: str, data_dir: str | None, seed: int, images: int) -> None:
    """Draws the views of the parsed recipe.

    Args:
        out: Where the picture goes.
        data_dir: Where TFDS keeps data.
        seed: Seed of the views.
        images: Number of images.

    Raises:
        ValueError: If the recipe binds no data or views.
    """
    data, split, views = (config.value("train", n) for n in ("data", "split", "views"))
    if not data or views is None:
        raise ValueError(
            "The recipe must bind train.data and train.views; give a --gin_file such "
            "as methods/simclr.gin."
        )
    source = sources.open_source(data, split or "train", data_dir)
    draw_views(os.fspath(out), source, views, seed, images)
