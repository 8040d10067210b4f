"""The layer an object is drawn on, part by part, for a group of images at once."""

import numpy as np

from keras_ssl.data.embedded import colours
from keras_ssl.data.embedded.strengths import Strengths

# Numbers in [0, 1] that a drawing may use up.
DRAWS = 96
_FAR = np.float32(9.0)


class Sketch:
    """One object a image, all of one class, in the object's own coordinates.

    The object fills about `[-1, 1]` in its longer direction; `v` points up. A body
    adds to the silhouette, a detail is painted on the bodies drawn before it.

    Args:
        u: `(n, h, w)` coordinates to the right, float32.
        v: `(n, h, w)` coordinates upwards, float32.
        pixels: `(n,)` pixels a unit.
        draws: `(n, DRAWS)` numbers in `[0, 1]`, used up from the left.
        light: `(n,)` mean luminance of the object.
        backdrop: `(n,)` mean luminance of the backdrop.
        hue: `(n,)` hue in turns of the objects not painted naturally.
        natural: `(n,)` bool: parts have their natural hue.
        strengths: See `Strengths`.
    """

    def __init__(
        self,
        u: np.ndarray,
        v: np.ndarray,
        pixels: np.ndarray,
        draws: np.ndarray,
        light: np.ndarray,
        backdrop: np.ndarray,
        hue: np.ndarray,
        natural: np.ndarray,
        strengths: Strengths,
    ) -> None:
        self.u, self.v = u, v
        self.rgb = np.zeros((u.shape[0], 3, *u.shape[1:]), np.float32)
        self.lift = np.zeros_like(u)
        self.silhouette = np.full_like(u, _FAR)
        self._pixels = pixels.astype(np.float32)[:, None, None]
        self._draws, self._used = draws, 0
        self._light, self._backdrop = light, backdrop
        self._hue, self._natural = hue, natural
        self._strengths = strengths

    def vary(self, low: float, high: float) -> np.ndarray:
        """A new `(n, 1, 1)` number an image, uniform between low and high."""
        return (low + (high - low) * self._draw()).astype(np.float32)[:, None, None]

    def sometimes(self, distance: np.ndarray, chance: float) -> np.ndarray:
        """The figure in a share `chance` of the images, nothing in the others."""
        return np.where((self._draw() < chance)[:, None, None], distance, _FAR)

    def coverage(self, distance: np.ndarray) -> np.ndarray:
        """Share of each pixel inside a figure, to first order: `(n, h, w)`."""
        share = np.float32(0.5) - distance * self._pixels
        return np.minimum(np.maximum(share, 0, out=share), 1, out=share)

    def body(
        self, distance: np.ndarray, hue: float, saturation: float, lift: float = 0.0
    ) -> None:
        """Draws a part that belongs to the silhouette.

        Args:
            distance: `(n, h, w)` signed distance to the part.
            hue: Natural hue in turns.
            saturation: Natural saturation in `[0, 1]`.
            lift: Height over the object's plane, in units of depth's relief.
        """
        limit = self._strengths
        light = self._light + limit.spread * (2.0 * self._draw() - 1.0)
        light = np.where(
            self._light > self._backdrop,
            np.maximum(light, self._backdrop + limit.contrast),
            np.minimum(light, self._backdrop - limit.contrast),
        )
        self._cover(distance, self._paint(hue, saturation, light), lift)
        np.minimum(self.silhouette, distance, out=self.silhouette)

    def detail(
        self,
        distance: np.ndarray,
        hue: float,
        saturation: float,
        lift: float = 0.25,
        dark: bool = False,
    ) -> None:
        """Draws a part inside the silhouette, lighter or darker than the bodies.

        Args:
            distance: `(n, h, w)` signed distance to the part.
            hue: Natural hue in turns.
            saturation: Natural saturation in `[0, 1]`.
            lift: Height over the object's plane, in units of depth's relief.
            dark: Darker than a light body and a little lighter than a dark one,
                as tyres and pupils are; otherwise lighter wherever there is room.
        """
        step = self._strengths.detail * (0.8 + 0.4 * self._draw())
        middle = 0.4 if dark else 0.6
        light = np.where(self._light > middle, self._light - step, self._light + step)
        inside = np.maximum(distance, self.silhouette)
        self._cover(inside, self._paint(hue, saturation, light), lift)

    def _draw(self) -> np.ndarray:
        self._used += 1
        return self._draws[:, self._used - 1]

    def _paint(self, hue: float, saturation: float, light: np.ndarray) -> np.ndarray:
        error, other = self._draw(), self._draw()
        near = hue + self._strengths.hue * (2.0 * error - 1.0)
        far = self._hue + 0.3 * error
        hues = np.where(self._natural, near, far)
        strong = np.where(self._natural, saturation * (0.8 + 0.4 * other), other)
        return colours.paint(hues, np.minimum(strong, 1.0), light)

    def _cover(self, distance: np.ndarray, colour: np.ndarray, lift: float) -> None:
        share = self.coverage(distance)
        paint = colour.astype(np.float32)[:, :, None, None]
        self.rgb += (paint - self.rgb) * share[:, None]
        self.lift += (np.float32(lift) - self.lift) * share
