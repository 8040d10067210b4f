"""Signed distances to plane figures: negative inside, in the unit of the coordinates.

Only `+ - * /`, `sqrt`, `min`, `max` and comparisons are used here and in the other
modules of the drawing: IEEE 754 rounds these alike everywhere, while `sin` or a matrix
product differ in the last bit between processors, and the data's bytes with them.
"""

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Number: TypeAlias = float | np.ndarray


def turn(u: Array, v: Array, cos: Number, sin: Number) -> tuple[Array, Array]:
    """Coordinates in axes turned counter-clockwise by the angle of `cos` and `sin`."""
    return u * cos + v * sin, v * cos - u * sin


def cos_sin(angle: Array) -> tuple[Array, Array]:
    """Cosine and sine by their series, exact to 1e-12 for angles within +-0.5 radians.

    Args:
        angle: Angles in radians, float64.

    Returns:
        The cosines and the sines, shaped as `angle`.
    """
    square = angle * angle
    cos, sin = np.ones_like(angle), np.ones_like(angle)
    for order in range(12, 0, -2):
        cos = 1.0 - square / (order * (order - 1)) * cos
        sin = 1.0 - square / (order * (order + 1)) * sin
    return cos, sin * angle


def disc(u: Array, v: Array, x: Number, y: Number, radius: Number) -> Array:
    """Distance to a disc at `(x, y)`."""
    u, v = u - x, v - y
    return np.sqrt(u * u + v * v) - radius


def ellipse(u: Array, v: Array, x: Number, y: Number, rx: Number, ry: Number) -> Array:
    """Distance, to first order near the border, to an ellipse with half axes rx, ry."""
    u, v = (u - x) / rx, (v - y) / ry
    level = np.sqrt(u * u + v * v)
    u, v = u / rx, v / ry
    # The floor keeps the centre, where the slope vanishes, at a finite depth.
    return level * (level - 1.0) / np.maximum(np.sqrt(u * u + v * v), 1e-3)


def box(u: Array, v: Array, x: Number, y: Number, hx: Number, hy: Number) -> Array:
    """Chebyshev distance to a box with half sides hx, hy."""
    return np.maximum(np.abs(u - x) - hx, np.abs(v - y) - hy)


def round_box(
    u: Array, v: Array, x: Number, y: Number, hx: Number, hy: Number, radius: Number
) -> Array:
    """Distance to a box with half sides hx, hy and rounded corners."""
    du = np.abs(u - x) - hx + radius
    dv = np.abs(v - y) - hy + radius
    out_u, out_v = np.maximum(du, 0.0), np.maximum(dv, 0.0)
    outside = np.sqrt(out_u * out_u + out_v * out_v)
    return outside + np.minimum(np.maximum(du, dv), 0.0) - radius


def capsule(
    u: Array, v: Array, start: Sequence[Number], end: Sequence[Number], radius: Number
) -> Array:
    """Distance to the points within `radius` of the segment from start to end."""
    du, dv = u - start[0], v - start[1]
    eu, ev = end[0] - start[0], end[1] - start[1]
    share = (du * eu + dv * ev) / (eu * eu + ev * ev)
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    du, dv = du - eu * share, dv - ev * share
    return np.sqrt(du * du + dv * dv) - radius


def polygon(u: Array, v: Array, corners: Sequence[tuple[Number, Number]]) -> Array:
    """Distance to a convex polygon with its corners counter-clockwise."""
    edges = []
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        ex, ey = np.float32(1) * (x1 - x0), np.float32(1) * (y1 - y0)
        length = np.sqrt(ex * ex + ey * ey)
        edges.append((u - x0) * (ey / length) - (v - y0) * (ex / length))
    return functools.reduce(np.maximum, edges)


def wave(phase: Array) -> Array:
    """A triangle wave of period 1 in `[-1, 1]`: a cosine without the cosine."""
    return np.abs(phase - np.floor(phase) - np.float32(0.5)) * 4.0 - 1.0
