"""Textures and backdrops, drawn from numbers in `[0, 1]` given by the scene."""

import functools

import numpy as np

from keras_ssl.data.embedded import shapes

BACKDROPS = ("plain", "clouds", "stripes", "checks", "dots", "hills")
# Points a side of the lattices under textures and under shadows.
LATTICE, SHADOWS = 7, 4


@functools.lru_cache(maxsize=8)
def _taps(size: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Lattice row left of each of `size` pixels, and the smoothed way to the next."""
    place = (np.arange(size) + 0.5) / size * (points - 1)
    left = np.floor(place).astype(np.int64)
    share = (place - left).astype(np.float32)
    return left, share * share * (np.float32(3) - np.float32(2) * share)


def clouds(lattice: np.ndarray, size: int) -> np.ndarray:
    """Smooth noise: `(n, k, k)` values, enlarged to `(n, size, size)`."""
    left, share = _taps(size, lattice.shape[1])
    rows = (
        lattice[:, left] * (1 - share)[:, None] + lattice[:, left + 1] * share[:, None]
    )
    return rows[:, :, left] * (1 - share) + rows[:, :, left + 1] * share


def _plain(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return (u + v) * 0.5


def _clouds(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return noise * 2.0 - 1.0


def _stripes(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return shapes.wave(u)


def _checks(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(shapes.wave(u) * shapes.wave(v) * 4.0, -1.0), 1.0)


def _dots(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    level = (shapes.wave(u) + shapes.wave(v)) * 2.0 - 1.0
    return np.minimum(np.maximum(level, -1.0), 1.0)


def _hills(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    level = (noise[:, :1] * 1.5 - 0.25 - (v - v[:, :1, :1]) * 0.35) * 6.0
    return np.minimum(np.maximum(level, -1.0), 1.0)


_PATTERNS = (_plain, _clouds, _stripes, _checks, _dots, _hills)


def backdrop(
    kind: np.ndarray, u: np.ndarray, v: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Pattern of each image's backdrop.

    Args:
        kind: `(n,)` indices into `BACKDROPS`.
        u: `(n, size, size)` coordinates along the pattern, one period a unit.
        v: `(n, size, size)` coordinates across it.
        noise: `(n, size, size)` smooth noise in `[0, 1]`.

    Returns:
        `(n, size, size)` values in about `[-1, 1]`.
    """
    out = np.zeros_like(noise)
    for number, pattern in enumerate(_PATTERNS):
        rows = np.flatnonzero(kind == number)
        if rows.size:
            out[rows] = pattern(u[rows], v[rows], noise[rows])
    return out
