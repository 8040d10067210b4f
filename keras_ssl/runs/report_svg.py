"""Curves and maps as SVG, drawn without any library."""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_ssl.runs.report_html import colour, text

_WIDTH, _HEIGHT = 380, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 34
# Of longer curves the least and the greatest number of each stretch are drawn.
_STRETCHES = 250
# So many points leave room for larger ones.
_FEW = 600


class Curve(NamedTuple):
    """Numbers over steps.

    Attributes:
        name: What they are of.
        colour: As CSS.
        x: Steps.
        y: Finite numbers, as many.
    """

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray


def curves(title: str, found: Sequence[Curve], x_name: str = "step") -> str:
    """A figure of curves with one pair of axes.

    Args:
        title: What the numbers are.
        found: At least one curve, of one point at least.
        x_name: What they run over.
    """
    found = [_shortened(curve) for curve in found]
    first, last = _span([c.x for c in found])
    first, last = (first, last) if last > first else (first - 1, last + 1)
    x_ticks = [x for x in ticks(first, last) if first <= x <= last]
    y_ticks = ticks(*_span([c.y for c in found]))

    def across(x: float) -> float:
        share = (x - first) / (last - first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        share = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in y_ticks:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{down(tick):.1f}" y2="{down(tick):.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{down(tick) + 4:.1f}" text-anchor="end">'
            f"{short(tick)}</text>"
        )
    for tick in x_ticks:
        parts.append(
            f'<text x="{across(tick):.1f}" y="{_HEIGHT - _BOTTOM + 16}" '
            f'text-anchor="middle">{short(tick)}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">'
        f"{text(x_name)}</text>"
    )
    for curve in found:
        places = [(across(x), down(y)) for x, y in zip(curve.x, curve.y, strict=True)]
        parts.append(_line(curve, places))
    told = "; ".join(f"{c.name}: {c.y[0]:.4g} to {c.y[-1]:.4g}" for c in found)
    return (
        f'<figure class="chart"><figcaption>{text(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{text(f"{title}, first to last: {told}")}">{"".join(parts)}'
        '<g class="cursor" hidden><line class="rule"/></g></svg>'
        f'<output class="value">&nbsp;</output></figure>'
    )


def _line(curve: Curve, places: Sequence[tuple[float, float]]) -> str:
    """A curve, with its numbers for who points at it."""
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    values = json.dumps(
        [
            [float(f"{x:.6g}"), float(f"{y:.6g}")]
            for x, y in zip(curve.x, curve.y, strict=True)
        ],
        separators=(",", ":"),
    )
    about = f'data-name="{text(curve.name)}" data-values="{text(values)}"'
    if len(places) == 1:
        # A line of one point is not seen.
        (x, y), kind = places[0], f'fill="{curve.colour}"'
        return (
            f'<circle class="curve" cx="{x:.1f}" cy="{y:.1f}" r="3.5" {kind} '
            f'points="{shown}" {about}/>'
        )
    return f'<polyline class="curve" points="{shown}" stroke="{curve.colour}" {about}/>'


def scatter(points: np.ndarray, groups: np.ndarray, count: int, label: str) -> str:
    """Points of a plane, a group for each class.

    Args:
        points: `(n, 2)`.
        groups: `(n,)` integers in `[0, count)`, by which points are coloured.
        count: Number of classes.
        label: What it shows, for who cannot see it.
    """
    low, high = points.min(0), points.max(0)
    scale = 1000 / max(1e-9, float((high - low).max()))
    # Both axes have one scale: what lies near is near.
    placed = (points - low) * scale
    width, height = (max(60, math.ceil(x)) for x in (high - low) * scale)
    parts = []
    for group in np.unique(groups):
        chosen = np.flatnonzero(groups == group)
        dots = "".join(
            f'<circle cx="{placed[i, 0]:.0f}" cy="{height - placed[i, 1]:.0f}" '
            f'data-i="{i}"/>'
            for i in chosen
        )
        fill = colour(int(group), count)
        parts.append(f'<g data-group="{group}" fill="{fill}">{dots}</g>')
    few = " few" if len(points) < _FEW else ""
    return (
        f'<svg class="dots{few}" viewBox="-15 -15 {width + 30} {height + 30}" '
        f'role="img" tabindex="0" aria-label="{text(label)}">{"".join(parts)}'
        '<circle class="chosen" r="15" cx="-99" cy="-99"/></svg>'
    )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`.

    Args:
        low: The least number.
        high: The greatest number.
        most: About how many steps between them.
    """
    if high <= low:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(f for f in (1, 2, 2.5, 5, 10) if f * size >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number of an axis."""
    if abs(value) >= 10000:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _span(found: Sequence[np.ndarray]) -> tuple[float, float]:
    return min(float(x.min()) for x in found), max(float(x.max()) for x in found)


def _shortened(curve: Curve) -> Curve:
    if len(curve.x) <= 2 * _STRETCHES:
        return curve
    kept = {0, len(curve.x) - 1}
    for part in np.array_split(np.arange(len(curve.x)), _STRETCHES):
        kept |= {int(part[curve.y[part].argmin()]), int(part[curve.y[part].argmax()])}
    rows = np.array(sorted(kept))
    return curve._replace(x=curve.x[rows], y=curve.y[rows])
