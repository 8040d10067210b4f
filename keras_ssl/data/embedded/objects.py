"""The ten classes: how each object is put together from its parts.

Every drawing fills about `[-1, 1]` in its longer direction and is recognised by its
silhouette; sizes of the parts vary a little, and some parts are missing at times.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from keras_ssl.data.embedded import shapes
from keras_ssl.data.embedded.sketch import Sketch

# Natural hues in turns.
RED, ORANGE, YELLOW, GREEN, BLUE, PINK = 0.0, 0.07, 0.14, 0.33, 0.6, 0.93
BROWN = ORANGE

Corners: TypeAlias = list[tuple[shapes.Number, shapes.Number]]


def boat(s: Sketch) -> None:
    """Hull, mast and two sails."""
    deck, top = s.vary(-0.45, -0.3), s.vary(0.85, 1.0)
    stern, bow = s.vary(0.45, 0.65), s.vary(0.45, 0.7)
    mast = shapes.box(s.u, s.v, 0.0, (top + deck) / 2, 0.05, (top - deck) / 2)
    s.body(mast, BROWN, 0.6)
    foot = deck + 0.12
    main: Corners = [(0.08, foot), (s.vary(0.65, 0.85), foot), (0.08, top - 0.05)]
    s.body(shapes.polygon(s.u, s.v, main), YELLOW, 0.15)
    jib: Corners = [(s.vary(-0.75, -0.55), foot), (-0.08, foot), (-0.08, top - 0.25)]
    s.body(shapes.polygon(s.u, s.v, jib), YELLOW, 0.15)
    hull = shapes.polygon(
        s.u, s.v, [(-stern, -0.85), (bow, -0.85), (0.98, deck), (-0.9, deck)]
    )
    s.body(hull, RED, 0.75, lift=0.5)
    s.detail(np.maximum(shapes.box(s.u, s.v, 0, deck, 2, 0.1), hull), BLUE, 0.6)


def butterfly(s: Sketch) -> None:
    """Four wings with spots, a body and feelers."""
    wide = np.abs(s.u)
    cos, sin = s.vary(0.7, 0.85), s.vary(0.5, 0.65)
    high, low = s.vary(0.36, 0.46), s.vary(0.26, 0.36)
    for side in (-1.0, 1.0):
        s.body(
            shapes.capsule(s.u, s.v, (0.0, 0.3), (side * 0.3, 0.85), 0.05), BROWN, 0.5
        )
    a, b = shapes.turn(wide - 0.5, s.v + 0.42, cos, -sin)
    s.body(shapes.ellipse(a, b, 0.0, 0.0, 0.42, low), ORANGE, 0.8)
    a, b = shapes.turn(wide - 0.54, s.v - 0.3, cos, sin)
    upper = shapes.ellipse(a, b, 0.0, 0.0, 0.55, high)
    s.body(upper, ORANGE, 0.8)
    s.detail(shapes.disc(wide, s.v, 0.62, 0.36, s.vary(0.14, 0.22)), BLUE, 0.7)
    s.detail(shapes.disc(wide, s.v, 0.52, -0.46, s.vary(0.1, 0.17)), YELLOW, 0.7)
    trunk = shapes.capsule(s.u, s.v, (0.0, -0.5), (0.0, 0.4), 0.1)
    s.body(trunk, BROWN, 0.5)
    s.detail(trunk, BROWN, 0.6, lift=0.6, dark=True)


def car(s: Sketch) -> None:
    """Body, cabin with windows, two wheels."""
    roof, left, right = s.vary(0.42, 0.56), s.vary(-0.5, -0.3), s.vary(0.15, 0.35)
    belt = 0.08
    cabin = shapes.polygon(
        s.u,
        s.v,
        [
            (left - 0.25, belt - 0.1),
            (right + 0.35, belt - 0.1),
            (right, roof),
            (left, roof),
        ],
    )
    s.body(cabin, BLUE, 0.6)
    post = np.abs(s.u - (left + right) / 2) - 0.06
    glass = np.maximum(np.maximum(cabin + 0.09, belt - s.v), -post)
    s.detail(glass, BLUE, 0.45, lift=-0.25)
    s.body(
        shapes.round_box(s.u, s.v, 0.0, -0.17, 0.98, 0.28, 0.14), BLUE, 0.6, lift=0.3
    )
    for x in (-0.55, 0.55):
        radius = s.vary(0.23, 0.28)
        tyre = shapes.disc(s.u, s.v, x, -0.42, radius)
        s.body(tyre, BLUE, 0.1, lift=0.5)
        s.detail(tyre, BLUE, 0.1, lift=0.5, dark=True)
        hub = shapes.disc(s.u, s.v, x, -0.42, radius * 0.45)
        s.detail(s.sometimes(hub, 0.8), BLUE, 0.05, lift=0.6)
    s.detail(shapes.disc(s.u, s.v, 0.88, -0.12, 0.09), YELLOW, 0.8)


def chair(s: Sketch) -> None:
    """Back, seat and legs, seen from the side."""
    thick, seat = s.vary(0.08, 0.11), s.vary(-0.15, 0.0)
    lean, front = s.vary(0.0, 0.16), s.vary(0.5, 0.62)
    back = -0.5
    s.body(
        shapes.capsule(s.u, s.v, (back, seat), (back - lean, 0.92), thick), BROWN, 0.65
    )
    for x, reach in ((back, -0.04), (front, 0.04)):
        leg = shapes.capsule(s.u, s.v, (x, seat), (x + reach, -0.92), thick)
        s.body(leg, BROWN, 0.65)
    rung = shapes.capsule(s.u, s.v, (back, -0.6), (front, -0.6), 0.055)
    s.body(s.sometimes(rung, 0.5), BROWN, 0.65)
    middle, half = (back + front) / 2, (front - back) / 2
    plank = shapes.box(s.u, s.v, middle, seat, half + 0.12, thick)
    s.body(plank, BROWN, 0.65, lift=0.3)
    high = s.vary(0.06, 0.1)
    cushion = shapes.round_box(
        s.u, s.v, middle + 0.06, seat + thick + high, half - 0.02, high, 0.06
    )
    s.body(cushion, RED, 0.7, lift=0.5)
    s.detail(cushion, RED, 0.7, lift=0.5)


def fish(s: Sketch) -> None:
    """Body, tail, fins, gill and eye."""
    long, high = s.vary(0.68, 0.76), s.vary(0.3, 0.4)
    fork, tall = s.vary(-0.8, -0.7), s.vary(0.4, 0.52)
    for side in (1.0, -1.0):
        corners: Corners = [(-0.25, 0.0), (-1.0, side * tall), (fork, 0.0)]
        corners = corners if side > 0 else corners[::-1]
        s.body(shapes.polygon(s.u, s.v, corners), ORANGE, 0.8)
    tip = s.vary(-0.15, 0.05)
    for side, rise in ((1.0, 0.28), (-1.0, 0.2)):
        fin: Corners = [
            (0.5, side * 0.8 * high),
            (tip, side * (high + rise)),
            (0.0, 0.0),
        ]
        fin = fin if side > 0 else fin[::-1]
        s.body(shapes.polygon(s.u, s.v, fin), ORANGE, 0.8)
    trunk = shapes.ellipse(s.u, s.v, 0.25, 0.0, long, high)
    s.body(trunk, ORANGE, 0.8, lift=0.4)
    for x in (-0.12, 0.18):
        band = np.maximum(shapes.box(s.u, s.v, x, 0, 0.07, 1), trunk)
        s.detail(s.sometimes(band, 0.6), YELLOW, 0.3)
    s.detail(shapes.disc(s.u, s.v, 0.64, 0.07, 0.12), YELLOW, 0.1)
    s.detail(shapes.disc(s.u, s.v, 0.66, 0.07, 0.06), BLUE, 0.3, dark=True)


def flower(s: Sketch) -> None:
    """Petals around a heart, on a stem with leaves."""
    x, y, reach = 0.0, 0.4, s.vary(0.36, 0.42)
    stem = shapes.capsule(s.u, s.v, (s.vary(-0.12, 0.12), -0.95), (x, y), 0.07)
    s.body(stem, GREEN, 0.75)
    for side in (-1.0, 1.0):
        a, b = shapes.turn(s.u - side * 0.3, s.v + s.vary(0.4, 0.6), 0.8, side * 0.6)
        s.body(shapes.ellipse(a, b, 0.0, 0.0, 0.32, 0.14), GREEN, 0.75)
    start = s.vary(0.0, 1.0)
    length = np.sqrt(start * start + 1.0)
    cos, sin = 1.0 / length, start / length
    # Six directions, 60 degrees apart: three axes, mirrored through the heart.
    petals = np.full_like(s.u, np.inf)
    for axis_cos, axis_sin in ((1.0, 0.0), (0.5, 0.8660254), (-0.5, 0.8660254)):
        a, b = shapes.turn(
            s.u - x,
            s.v - y,
            cos * axis_cos - sin * axis_sin,
            sin * axis_cos + cos * axis_sin,
        )
        pair = shapes.ellipse(np.abs(a), b, reach, 0.0, 0.24, 0.18)
        petals = np.minimum(petals, pair)
    s.body(petals, PINK, 0.7, lift=0.4)
    heart = shapes.disc(s.u, s.v, x, y, s.vary(0.2, 0.25))
    s.body(heart, YELLOW, 0.85, lift=0.6)
    s.detail(heart, YELLOW, 0.85, lift=0.6)


def house(s: Sketch) -> None:
    """Walls, roof, chimney, door and windows."""
    wide, eave, ridge = s.vary(0.66, 0.78), s.vary(0.05, 0.2), s.vary(0.8, 0.98)
    x = s.vary(0.35, 0.5)
    chimney = shapes.box(s.u, s.v, x, (ridge + eave) / 2, 0.1, (ridge - eave) / 2)
    s.body(s.sometimes(chimney, 0.7), RED, 0.6)
    wall = shapes.box(s.u, s.v, 0.0, (eave - 0.9) / 2, wide, (eave + 0.9) / 2)
    s.body(wall, YELLOW, 0.3)
    roof: Corners = [
        (-wide - 0.2, eave),
        (wide + 0.2, eave),
        (s.vary(-0.1, 0.1), ridge),
    ]
    s.body(shapes.polygon(s.u, s.v, roof), RED, 0.7, lift=0.5)
    door = s.vary(-0.05, 0.1)
    s.detail(shapes.box(s.u, s.v, door, -0.62, 0.15, 0.3), BROWN, 0.7, dark=True)
    high = s.vary(0.13, 0.17)
    for side in (-1.0, 1.0):
        window = shapes.box(s.u, s.v, side * 0.43, -0.28, 0.14, high)
        s.detail(s.sometimes(window, 0.85), BLUE, 0.5, lift=-0.25)


def mug(s: Sketch) -> None:
    """Cup with a rim, a handle and a band."""
    wide, top, low = s.vary(0.52, 0.62), s.vary(0.55, 0.72), s.vary(-0.8, -0.68)
    x, middle = -0.25, (top + low) / 2
    ring = shapes.ellipse(
        s.u, s.v, x + wide, middle, s.vary(0.4, 0.48), s.vary(0.38, 0.46)
    )
    handle = np.maximum(np.abs(ring + 0.11) - 0.1, x - s.u)
    s.body(handle, BLUE, 0.6)
    taper = s.vary(0.0, 0.1)
    cup = [
        (x - wide + taper, low),
        (x + wide - taper, low),
        (x + wide, top),
        (x - wide, top),
    ]
    s.body(shapes.polygon(s.u, s.v, cup), BLUE, 0.6, lift=0.4)
    rim = shapes.ellipse(s.u, s.v, x, top, wide, 0.17)
    s.body(rim, BLUE, 0.6, lift=0.2)
    s.detail(rim + 0.06, BROWN, 0.7, lift=-0.3, dark=True)
    band = shapes.box(s.u, s.v, x, middle - 0.1, wide, s.vary(0.08, 0.16))
    s.detail(s.sometimes(np.maximum(band, x - wide - s.u), 0.6), RED, 0.7)


def mushroom(s: Sketch) -> None:
    """Stem and a spotted cap."""
    wide, high, brim = s.vary(0.82, 0.96), s.vary(0.72, 0.9), s.vary(-0.05, 0.1)
    slim, fat = s.vary(0.2, 0.27), s.vary(0.28, 0.38)
    neck = brim + 0.1
    stem: Corners = [(-fat, -0.92), (fat, -0.92), (slim, neck), (-slim, neck)]
    s.body(shapes.polygon(s.u, s.v, stem), YELLOW, 0.2)
    dome = shapes.ellipse(s.u, s.v, 0.0, brim, wide, high)
    cap = np.maximum(dome, brim - s.v)
    s.body(cap, RED, 0.85, lift=0.5)
    for x, y in ((-0.5, 0.25), (0.0, 0.5), (0.5, 0.22)):
        radius = s.vary(0.12, 0.19)
        spot = shapes.disc(s.u, s.v, x + s.vary(-0.06, 0.06), brim + y, radius)
        s.detail(s.sometimes(np.maximum(spot, cap), 0.9), YELLOW, 0.1)


def tree(s: Sketch) -> None:
    """A conifer: trunk and three tiers of branches."""
    half, slim = s.vary(0.11, 0.16), s.vary(0.85, 1.05)
    s.body(shapes.box(s.u, s.v, 0.0, -0.75, half, 0.24), BROWN, 0.65)
    tiers = ((-0.55, 0.25, 0.7), (-0.1, 0.62, 0.55), (0.32, 1.0, 0.4))
    for low, tip, wide in tiers:
        reach = wide * slim * s.vary(0.92, 1.08)
        corners: Corners = [(-reach, low), (reach, low), (0.0, tip)]
        s.body(shapes.polygon(s.u, s.v, corners), GREEN, 0.7, lift=0.3)
    star = shapes.disc(s.u, s.v, 0.0, 0.88, 0.1)
    s.body(s.sometimes(star, 0.25), YELLOW, 0.8, lift=0.5)


DRAWINGS: dict[str, Callable[[Sketch], None]] = {
    drawing.__name__: drawing
    for drawing in (
        boat, butterfly, car, chair, fish, flower, house, mug, mushroom, tree,
    )
}  # fmt: skip
