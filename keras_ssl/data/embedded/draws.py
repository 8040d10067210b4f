"""Random numbers of the scenes, and the factors they stand for.

Every number of a scene comes from a generator of its own, seeded by the split and the
index, so that it depends neither on the scenes drawn with it nor on their number.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from keras_ssl.data.embedded import textures
from keras_ssl.data.embedded.sketch import DRAWS
from keras_ssl.data.embedded.strengths import Strengths

FACTORS = (
    "x", "y", "scale", "rotation", "aspect", "mirror", "hue", "natural", "contrast",
    "light", "brightness", "noise", "backdrop", "horizon", "hue_sky", "hue_ground",
    "texture", "occluders",
)  # fmt: skip

_SEED = 20240601
_NAMED = (
    *FACTORS, "level", "below", "saturate_sky", "saturate_ground", "amplitude",
    "pitch", "phase_u", "phase_v", "slope_u", "slope_v", "weave_pitch", "rim",
    "distance", "shadow",
)  # fmt: skip
OCCLUDER_DRAWS = 8
_LATTICE = textures.LATTICE**2
_WIDTHS = {
    **dict.fromkeys(_NAMED, 1),
    "object": DRAWS, "sky": _LATTICE, "weave_noise": _LATTICE,
    "shadows": textures.SHADOWS**2,
}  # fmt: skip

Draws: TypeAlias = Mapping[str, np.ndarray]


def deal(
    split: int, indices: Sequence[int], size: int, strengths: Strengths
) -> tuple[Draws, np.ndarray]:
    """Draws `(n,)` or `(n, k)` numbers under each name, and `(n, 3, h, w)` noise."""
    widths = {**_WIDTHS, "cover": strengths.occluders * OCCLUDER_DRAWS}
    total = sum(widths.values())
    table = np.empty((len(indices), total))
    grain = np.empty((len(indices), 2, 3, size, size), np.uint8)
    for row, index in enumerate(indices):
        generator = np.random.default_rng((_SEED, split, int(index)))
        table[row] = generator.random(total)
        grain[row] = generator.integers(0, 256, grain.shape[1:], np.uint8)
    ends = np.cumsum(list(widths.values()))[:-1]
    draws = dict(zip(widths, np.split(table, ends, axis=1), strict=True))
    named = {name: draws[name][:, 0] for name in _NAMED}
    # Two bytes sum to a triangular law of standard deviation 104.5.
    noise = (grain[:, 0].astype(np.float32) + grain[:, 1] - 255) / np.float32(104.5)
    return {**draws, **named}, noise


def between(draw: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers in `[0, 1]` taken to `[low, high]`."""
    return low + (high - low) * draw


def factors(d: Draws, s: Strengths) -> dict[str, np.ndarray]:
    """The factors, float64 `(n,)` each, from the draws of the same names."""
    f = {name: d[name] for name in ("hue", "hue_sky", "hue_ground")}
    f["scale"] = between(d["scale"], s.scale_min, s.scale_max)
    room = (1.0 - f["scale"]) / 2.0 + s.overhang
    f["x"] = 0.5 + room * (2.0 * d["x"] - 1.0)
    f["y"] = 0.5 + room * (2.0 * d["y"] - 1.0)
    f["rotation"] = between(d["rotation"], -s.rotation, s.rotation)
    f["aspect"] = between(d["aspect"], 1.0 - s.aspect, 1.0 + s.aspect)
    f["mirror"] = np.where(d["mirror"] < 0.5, 0.0, 1.0)
    f["natural"] = np.where(d["natural"] < s.natural, 1.0, 0.0)
    f["light"] = between(d["light"], -1.0, 1.0)
    f["brightness"] = between(d["brightness"], 1.0 - s.brightness, 1.0 + s.brightness)
    f["noise"] = s.noise * d["noise"]
    f["backdrop"] = np.floor(d["backdrop"] * len(textures.BACKDROPS))
    # The last pattern, hills, is no texture for an object.
    f["texture"] = np.floor(d["texture"] * (len(textures.BACKDROPS) - 1))
    f["horizon"] = between(d["horizon"], 0.35, 0.8)
    f["occluders"] = np.floor(d["occluders"] * (s.occluders + 1))
    level = between(d["level"], 0.12, 0.88)
    darker = np.maximum(level - s.contrast - 0.06, 0.0)
    lighter = np.maximum(0.94 - level - s.contrast, 0.0)
    place = d["contrast"] * (darker + lighter)
    light = np.where(place < darker, 0.06 + place, 0.94 - lighter + place - darker)
    f["contrast"] = light - level
    return {name: f[name] for name in FACTORS} | {"level": level}


def column(values: np.ndarray) -> np.ndarray:
    """`(n,)` numbers as `(n, 1, 1)` float32, to go with images."""
    return values.astype(np.float32)[:, None, None]
