"""The figures of a report as PNGs."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.callbacks import retrievals, sheets
from keras_ssl.runs import report_curves, report_scores
from keras_ssl.runs.report_features import Seen
from keras_ssl.runs.report_html import colour
from keras_ssl.runs.report_records import Recorded
from keras_ssl.runs.report_svg import Curve


def draw(
    folder: pathlib.Path, runs: Sequence[Recorded], seen: Sequence[Seen | str]
) -> None:
    """Draws what there is to draw.

    Args:
        folder: Where to, a folder that exists.
        runs: The records of runs.
        seen: What each one's encoder makes of images, or why that is not known.
    """
    for name, charts in report_curves.charts(runs).items():
        if charts:
            _draw_charts(folder / f"{name}.png", charts)
    for run, found in zip(runs, seen, strict=True):
        start = re.sub(r"[^\w.-]+", "_", run.label)
        for number, layers in enumerate(report_scores.layers(run).values()):
            more = f"_{number + 1}" if number else ""
            _draw_layers(folder / f"{start}_layers{more}.png", layers)
        if not isinstance(found, str):
            _draw_seen(f"{folder / start}", found)


def _draw_seen(start: str, seen: Seen) -> None:
    if seen.points is not None:
        _draw_map(f"{start}_map.png", seen, seen.points)
    if seen.retrieved is not None and seen.thumbs is not None:
        pictures: Any = seen.large
        rows = retrievals.rows(pictures, seen.retrieved, seen.labels, seen.classes)
        sheets.save(f"{start}_retrievals.png", sheets.sheet(rows))
    if seen.attention:
        shown = {name: [*made] for name, made in seen.attention.items()}
        sheets.save(f"{start}_attention.png", sheets.sheet(shown))


def _figure(width: float, height: float) -> Any:
    # Imported late, as in `callbacks.pictures`.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_charts(path: pathlib.Path, charts: Mapping[str, Sequence[Curve]]) -> None:
    columns = min(3, len(charts))
    rows = -(-len(charts) // columns)
    figure = _figure(4.2 * columns, 3 * rows)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, found) in zip(places, charts.items(), strict=False):
        for curve in found:
            mark = "o" if len(curve.x) == 1 else None
            axis.plot(curve.x, curve.y, color=curve.colour, marker=mark, lw=1.2)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=9)
        axis.grid(alpha=0.3)
    for axis in places[len(charts) :]:
        axis.set_axis_off()
    named = {curve.name: curve for found in charts.values() for curve in found}
    if len(named) > 1:
        from matplotlib.lines import Line2D

        lines = [Line2D([], [], color=c.colour) for c in named.values()]
        figure.legend(lines, list(named), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


def _draw_layers(path: pathlib.Path, found: report_scores.Layers) -> None:
    figure = _figure(6, 3.4)
    axis = figure.subplots()
    for number, (subject, numbers) in enumerate(found.items()):
        shade = colour(number, len(found))
        axis.plot(list(numbers), list(numbers.values()), "o-", color=shade)
        axis.lines[-1].set_label(subject)
    axis.set(ylim=(0, 1), ylabel="top-1", title="a probe on every layer")
    axis.tick_params("x", rotation=30)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _draw_map(path: str, seen: Seen, points: np.ndarray) -> None:
    figure = _figure(7, 5)
    axis = figure.subplots()
    if seen.labels is None:
        axis.scatter(*points.T, 9, colour(0, 1), lw=0)
    else:
        for label in np.unique(seen.labels):
            x, y = points[seen.labels == label].T
            shade = _rgb(colour(int(label), len(seen.classes)))
            axis.scatter(x, y, 9, [shade], label=seen.classes[label], lw=0)
        if len(seen.classes) <= 20:
            axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axis.set(xticks=[], yticks=[], title=f"{seen.data} ({seen.split}) by {seen.way}")
    axis.set_aspect("equal", "datalim")
    figure.savefig(path, dpi=110)


def _rgb(shade: str) -> Any:
    """A colour of CSS as matplotlib takes it."""
    import colorsys

    if shade.startswith("#"):
        return shade
    hue, full, light = (float(x) for x in re.findall(r"[\d.]+", shade))
    return colorsys.hls_to_rgb(hue / 360, light / 100, full / 100)
