"""Pictures of a run: what its views look like, and how its scores rose."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_ssl.callbacks import sheets
from keras_ssl.core import run_dir
from keras_ssl.data import pipeline
from keras_ssl.evaluation.results import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_ssl.data.partners import Prepared
    from keras_ssl.data.sources import Source

_NAMES = {
    "encoder": "trained",
    "random_init": "untrained encoder",
    "raw_pixels": "raw pixels",
    "spectrum": "mean spectrum",
}
_VIEWS = "Training images, and below each the views of it that the method is shown."
_STYLES = (("raw_pixels", ":"), ("spectrum", ":"), ("random_init", "--"))


def draw_views(
    path: str | os.PathLike[str],
    source: "Source",
    views: Any,
    seed: int,
    count: int = 8,
    partners: "Prepared | None" = None,
    writer: tf.summary.SummaryWriter | None = None,
) -> None:
    """Draws images beside their views, the view sheet, as a PNG.

    Args:
        path: Where to.
        source: Where images come from.
        views: `(images, seeds) -> views`.
        seed: The run's seed.
        count: Number of images.
        partners: Whom all views but the first show; the image itself if None.
        writer: TensorBoard's, if it is to show them too.
    """
    places = pipeline.subset(source.count, count)
    # Those of one size at once, which is several times as fast.
    groups = [places] if source.shape is not None else [[i] for i in places]
    # A line of images, then one a view.
    lines: list[list[np.ndarray]] = []
    for group in groups:
        made = _rendered(source, views, seed, np.array(group), partners)
        lines = lines or [[] for _ in made]
        for line, pictures in zip(lines, made, strict=False):
            line += [*pictures]
    if not lines:
        return
    names = [source.kind, *(f"view {i}" for i in range(1, len(lines)))]
    drawn = draw_rows(path, dict(zip(names, lines, strict=True)))
    if writer is not None:
        with writer.as_default(0):
            tf.summary.image("views", drawn[None], description=_VIEWS)


def _rendered(
    source: "Source",
    views: Any,
    seed: int,
    places: np.ndarray,
    partners: "Prepared | None",
) -> list[np.ndarray]:
    """Images of one size, then each view of them; nothing if they cannot be read."""
    # Without XLA where the views offer it: it would compile for these few.
    render = getattr(views, "render", views)
    images = _read(source, places)
    if images is None:
        return []
    index = tf.constant(places, tf.int64)
    seeds = tf.stack([tf.fill(index.shape, seed), tf.cast(index, tf.int32)], axis=1)
    made = render(images, seeds)
    if partners is not None:
        others = _read(source, partners.choose(index, seeds).numpy())
        if others is not None:
            made = (made[0], *render(others, seeds)[1:])
    return [images.numpy(), *(view.numpy() for view in made)]


def _read(source: "Source", places: np.ndarray) -> tf.Tensor | None:
    """Images `(n, h, w, 3)`; of sources whose sizes differ one, if it can be read."""
    if source.shape is not None:
        return source.read(tf.constant(places, tf.int64))
    image = source.try_read(int(places[0]))
    return None if image is None else image[None]


def draw_rows(
    path: str | os.PathLike[str], rows: Mapping[str, Sequence[np.ndarray]]
) -> np.ndarray:
    """Draws named rows of pictures, as a PNG.

    Args:
        path: Where to.
        rows: Pictures by the name of their row, as for `sheets.sheet`.

    Returns:
        The sheet, `(h, w, 3)` uint8.
    """
    drawn = sheets.sheet(rows)
    sheets.save(path, drawn)
    return drawn


def draw_points(
    path: str | os.PathLike[str],
    points: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    """Draws points of a plane, coloured by class, as a PNG.

    Args:
        path: Where to.
        points: `(n, 2)`.
        labels: `(n,)` integers.
        names: Names of the classes.
    """
    figure = _figure(6.4, 4.8)
    axis = figure.subplots()
    for label in np.unique(labels):
        x, y = points[labels == label].T
        # Ten colours, then the same ones with another mark.
        mark = "o^sDv"[label // 10 % 5]
        color, name = f"C{label % 10}", names[label]
        axis.scatter(x, y, 9, color, marker=mark, label=name, lw=0)
    axis.set(xticks=[], yticks=[], title="test features by t-SNE")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    _save(figure, path)


def draw_curves(directory: pathlib.Path) -> None:
    """Draws the loss and the scores of a run beside its baselines, as a PNG.

    Args:
        directory: The run's directory, with metrics.jsonl and evaluations.jsonl.
    """
    steps = run_dir.read_lines(directory / run_dir.METRICS)
    scores = run_dir.read_lines(directory / run_dir.EVALUATIONS)
    figure = _figure(10, 3.2)
    left, right = figure.subplots(1, 2)
    left.plot([r["step"] for r in steps], [r["loss"] for r in steps], color="C0")
    left.set(xlabel="step", ylabel="loss", title="training loss")
    names = dict.fromkeys(row["evaluation"] for row in scores)
    for color, name in enumerate(names):
        rows = [r for r in scores if r["evaluation"] == name]
        for subject, style in _STYLES:
            for row in [r for r in rows if r["subject"] == subject][:1]:
                label = f"{name}, {_NAMES[subject]}"
                right.axhline(headline(row), color=f"C{color}", ls=style, label=label)
        line = [
            (r["step"], headline(r))
            for r in rows
            if r["subject"] == "encoder" or _is_start(r)
        ]
        if line:
            x, y = np.array(line).T
            right.plot(x, y, color=f"C{color}", marker="o", label=f"{name}, trained")
    right.set(
        xlabel="step",
        ylabel="score",
        title="frozen features (in between: on fewer images)",
        ylim=(0, 1),
    )
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    _save(figure, directory / run_dir.CURVES)


def draw_map(
    path: str | os.PathLike[str],
    points: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> np.ndarray:
    """Draws features of two numbers as points in a plane, as a PNG.

    Args:
        path: Where to.
        points: `(n, 2)`.
        labels: `(n,)` class numbers, which colour the points.
        classes: Names of the classes.

    Returns:
        The picture, `(h, w, 4)` uint8.

    Raises:
        ValueError: If the points are not in a plane.
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"A map needs points of shape (n, 2), got {points.shape}.")
    figure = _figure(6.4, 5)
    axis = figure.subplots()
    for number, name in enumerate(classes):
        x, y = points[labels == number].T
        # Ten colours, in as many shapes as there are tens of classes.
        marker, color = "osv^D"[number // 10 % 5], f"C{number % 10}"
        axis.scatter(x, y, s=8, c=color, marker=marker, alpha=0.6, lw=0, label=name)
    # Distances are what such a map is about: both axes have one scale.
    axis.set_aspect("equal", "datalim")
    if len(classes) <= 20:
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    _save(figure, path)
    return tf.io.decode_png(pathlib.Path(path).read_bytes()).numpy()


def _is_start(row: dict[str, Any]) -> bool:
    """Whether a row scores the encoder as it was before its first step."""
    return row["subject"] == "random_init" and row["step"] == 0


def _figure(width: float, height: float) -> "Figure":
    # Imported late: drawing is rare, and the import takes a second. A bare `Figure`
    # needs no display and no global state.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="tight")


def _save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
