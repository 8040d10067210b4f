"""Scenes with one object each, and the exact truth about them.

A scene depends on its split and index alone. The label is the index modulo ten: no
factor can tell anything about it. Both sizes show the same scenes, up to the noise.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from keras_ssl.data.embedded import colours, draws, shapes, textures
from keras_ssl.data.embedded.objects import DRAWINGS
from keras_ssl.data.embedded.sketch import Sketch
from keras_ssl.data.embedded.strengths import Strengths

CLASSES = tuple(DRAWINGS)
BACKGROUND, OBJECT, OCCLUDER = 0, 1, 2
# Depth in units of 1/255 of the farthest distance.
SKY_DEPTH, GROUND_DEPTH = 255.0, 150.0
OBJECT_DEPTH, OBJECT_RELIEF = (85.0, 125.0), 20.0
OCCLUDER_DEPTH = (15.0, 50.0)

Scene: TypeAlias = dict[str, np.ndarray]


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres, right and up, in `[-1, 1]`: `(1, 1, size)`, `(1, size, 1)`."""
    place = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    return place[None, None], -place[None, :, None]


def _local(f: draws.Draws, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates `(n, size, size)` of the objects, and their pixels a unit `(n,)`."""
    right, up = _grid(size)
    right = right - draws.column(2.0 * f["x"] - 1.0)
    up = up - draws.column(1.0 - 2.0 * f["y"])
    cos, sin = shapes.cos_sin(f["rotation"])
    u, v = shapes.turn(right, up, draws.column(cos), draws.column(sin))
    side = 1.0 - 2.0 * f["mirror"]
    u = u * draws.column(side / (f["scale"] * f["aspect"]))
    v = v * draws.column(f["aspect"] / f["scale"])
    return u, v, f["scale"] * size / 2


def _backdrop(
    f: draws.Draws, d: draws.Draws, size: int, s: Strengths
) -> tuple[np.ndarray, np.ndarray]:
    """Colours `(n, 3, h, w)` and depth `(n, h, w)` of sky and ground."""
    right, up = _grid(size)
    slope_u, slope_v = d["slope_u"] - 0.5, d["slope_v"] - 0.5
    # The floor keeps a slope that is nearly zero from being divided by its length.
    length = np.maximum(np.sqrt(slope_u * slope_u + slope_v * slope_v), 1e-3)
    pitch = draws.between(d["pitch"], 1.0, 3.0) / length
    a, b = draws.column(slope_u * pitch), draws.column(slope_v * pitch)
    u = right * a + up * b + draws.column(d["phase_u"])
    v = up * a - right * b + draws.column(d["phase_v"])
    n = len(f["x"])
    lattice = d["sky"].astype(np.float32).reshape(n, textures.LATTICE, textures.LATTICE)
    pattern = textures.backdrop(f["backdrop"], u, v, textures.clouds(lattice, size))
    # Whatever varies moves away from the object's luminance: the contrast has a floor.
    away = np.where(f["contrast"] > 0, -1.0, 1.0)
    pattern = (pattern + 1) * draws.column(
        away * s.backdrop_texture * d["amplitude"] / 2
    )

    horizon = draws.column(1.0 - 2.0 * f["horizon"])
    below = np.minimum(np.maximum((horizon - up) * (size / 2) + 0.5, 0), 1)
    below = np.broadcast_to(below, pattern.shape)
    step = s.ground * (2.0 * d["below"] - 1.0)
    above_light = f["level"] + away * np.maximum(step, 0.0)
    below_light = f["level"] - away * np.minimum(step, 0.0)
    sky = colours.paint(f["hue_sky"], s.saturation * d["saturate_sky"], above_light)
    ground = colours.paint(
        f["hue_ground"], s.saturation * d["saturate_ground"], below_light
    )
    sky = sky.astype(np.float32)[:, :, None, None]
    ground = ground.astype(np.float32)[:, :, None, None]
    rgb = sky + (ground - sky) * below[:, None] + pattern[:, None]
    # A plane seen in perspective: depth falls as 1 / (distance below the horizon).
    near = (SKY_DEPTH / GROUND_DEPTH - 1.0) / 2.0
    depth = np.float32(SKY_DEPTH) / (1 + np.float32(near) * np.maximum(horizon - up, 0))
    return rgb, np.broadcast_to(depth, pattern.shape)


def _objects(
    label: np.ndarray, f: draws.Draws, d: draws.Draws, size: int, s: Strengths
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours `(n, 3, h, w)`, coverage and lift `(n, h, w)` of the objects."""
    n = len(label)
    u, v, pixels = _local(f, size)
    rgb = np.empty((n, 3, size, size), np.float32)
    cover, lift = np.empty_like(u), np.empty_like(u)
    for number, draw in enumerate(DRAWINGS.values()):
        rows = np.flatnonzero(label == number)
        if not rows.size:
            continue
        sketch = Sketch(
            u[rows],
            v[rows],
            pixels[rows],
            d["object"][rows],
            (f["level"] + f["contrast"])[rows],
            f["level"][rows],
            f["hue"][rows],
            f["natural"][rows] > 0,
            s,
        )
        draw(sketch)
        edge = np.minimum(np.maximum(1 + sketch.silhouette * 10, 0), 1)
        rim = 1 - draws.column(s.rim * d["rim"][rows]) * edge
        rgb[rows] = sketch.rgb * rim[:, None]
        cover[rows] = sketch.coverage(sketch.silhouette)
        bulge = np.minimum(np.maximum(sketch.silhouette * -4, 0), 1)
        lift[rows] = sketch.lift + bulge * np.float32(0.4)
    lattice = d["weave_noise"].astype(np.float32)
    noise = textures.clouds(
        lattice.reshape(n, textures.LATTICE, textures.LATTICE), size
    )
    pitch = draws.column(draws.between(d["weave_pitch"], 1.5, 3.5))
    weave = textures.backdrop(f["texture"], u * pitch, v * pitch, noise)
    rgb += (weave * np.float32(s.object_texture))[:, None]
    return rgb, cover, lift


def _light(f: draws.Draws, d: draws.Draws, size: int, s: Strengths) -> np.ndarray:
    """Light `(n, h, w)`: exposure, a slope from the lamp's side, soft shadows."""
    right, up = _grid(size)
    slope = (draws.column(f["light"]) * right + 0.5 * up) * np.float32(s.shading)
    lattice = d["shadows"].astype(np.float32)
    dark = textures.clouds(lattice.reshape(-1, *[textures.SHADOWS] * 2), size)
    # Brighter where there is no shadow, to keep the mean light.
    dark = (dark - np.float32(0.4)) * draws.column(s.shadow * d["shadow"])
    return (1 + slope) * (1 - dark) * draws.column(f["brightness"])


def _occluders(
    f: draws.Draws, d: draws.Draws, size: int, s: Strengths, rgb: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the occluders on `rgb`; their coverage and depth, `(n, h, w)` each."""
    right, up = _grid(size)
    cover = np.zeros((len(rgb), size, size), np.float32)
    depth = np.full_like(cover, OCCLUDER_DEPTH[1])
    for number in range(s.occluders):
        first = number * draws.OCCLUDER_DRAWS
        x, y, wide, high, kind, hue, light, far = d["cover"][
            :, first : first + draws.OCCLUDER_DRAWS
        ].T
        u, v = right - draws.column(2 * x - 1), up - draws.column(2 * y - 1)
        rx = draws.column(2 * draws.between(wide, s.occluder_min, s.occluder_max))
        ry = draws.column(2 * draws.between(high, s.occluder_min, s.occluder_max))
        distance = np.where(
            draws.column(kind) < 0.5,
            shapes.ellipse(u, v, 0.0, 0.0, rx, ry),
            shapes.box(u, v, 0.0, 0.0, rx, ry),
        )
        share = np.minimum(np.maximum(0.5 - distance * np.float32(size / 2), 0), 1)
        share = share * draws.column((f["occluders"] > number).astype(np.float64))
        paint = colours.paint(hue, 0.2 + 0.7 * kind, draws.between(light, 0.1, 0.9))
        rgb += (paint.astype(np.float32)[:, :, None, None] - rgb) * share[:, None]
        hidden = share >= 0.5
        depth = np.where(
            hidden, draws.column(draws.between(far, *OCCLUDER_DEPTH)), depth
        )
        cover = np.maximum(cover, share)
    return cover, depth


def boxes(mask: np.ndarray) -> np.ndarray:
    """Extent of the object in masks.

    Args:
        mask: `(n, h, w)`, `OBJECT` where the object is seen.

    Returns:
        `(n, 4)` float32: top, left, bottom and right border of the object's pixels,
        as shares of the height and the width; zeros where it is not seen at all.
    """
    seen = mask == OBJECT
    sides = []
    for axis in (2, 1):
        line = seen.any(axis)
        length = line.shape[1]
        first = np.argmax(line, 1)
        last = length - np.argmax(line[:, ::-1], 1)
        sides.append(np.stack([first, last], 1) / length)
    found = seen.any((1, 2))[:, None]
    corners = np.stack([sides[0], sides[1]], 2).reshape(len(mask), 4)
    return np.where(found, corners, 0.0).astype(np.float32)


def render(
    split: int, indices: Sequence[int], size: int, strengths: Strengths | None = None
) -> Scene:
    """Draws scenes.

    Args:
        split: Number of the split; 0 train, 1 test. Splits share no scene.
        indices: `n` indices of scenes, not negative.
        size: Side of the images in pixels.
        strengths: Of the nuisance factors; the defaults without.

    Returns:
        Arrays: `image` `(n, size, size, 3)` uint8; `label` `(n,)` int64; `mask`
        `(n, size, size, 1)` uint8 of `BACKGROUND`, `OBJECT` and `OCCLUDER`; `depth`
        `(n, size, size, 1)` uint8 in units of 1/255 of the farthest distance; `bbox`
        `(n, 4)` as of `boxes`; and every one of `FACTORS`, `(n,)` float32.
    """
    s = strengths or Strengths()
    d, noise = draws.deal(split, indices, size, s)
    f = draws.factors(d, s)
    label = np.asarray(indices, np.int64) % len(CLASSES)

    rgb, depth = _backdrop(f, d, size, s)
    paint, cover, lift = _objects(label, f, d, size, s)
    rgb += (paint - rgb) * cover[:, None]
    distance = draws.column(draws.between(d["distance"], *OBJECT_DEPTH))
    mask = (cover >= 0.5).astype(np.uint8) * np.uint8(OBJECT)
    depth = np.where(mask == OBJECT, distance - lift * np.float32(OBJECT_RELIEF), depth)
    hidden, near = _occluders(f, d, size, s, rgb)
    depth = np.where(hidden >= 0.5, near, depth)
    mask[hidden >= 0.5] = OCCLUDER

    rgb = rgb * _light(f, d, size, s)[:, None]
    rgb += noise * draws.column(f["noise"])[:, None]
    rgb = np.minimum(np.maximum(rgb, 0), 1) * np.float32(255) + np.float32(0.5)
    return {
        "image": np.ascontiguousarray(rgb.astype(np.uint8).transpose(0, 2, 3, 1)),
        "label": label,
        "mask": mask[..., None],
        "depth": (depth + np.float32(0.5)).astype(np.uint8)[..., None],
        "bbox": boxes(mask),
        **{name: f[name].astype(np.float32) for name in draws.FACTORS},
    }
