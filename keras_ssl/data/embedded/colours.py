"""Colours made of a hue and an exact luminance, so that grey values hide the hue."""

import numpy as np

# Rec. 601, as `tf.image.rgb_to_grayscale` weighs the channels.
WEIGHTS = (0.299, 0.587, 0.114)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Luminance of `(..., 3)` colours, shape `(...)`."""
    red, green, blue = WEIGHTS
    return rgb[..., 0] * red + rgb[..., 1] * green + rgb[..., 2] * blue


def paint(hue: np.ndarray, saturation: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Colours of given hue and luminance.

    Args:
        hue: `(n,)` in turns, any real: 0 red, 1/3 green, 2/3 blue.
        saturation: `(n,)` in `[0, 1]`, before the colour is scaled to its luminance.
        light: `(n,)` luminances; clipped to `[0.03, 0.97]`.

    Returns:
        `(n, 3)` colours in `[0, 1]`, float64.
    """
    light = np.minimum(np.maximum(light, 0.03), 0.97)
    sextant = (hue - np.floor(hue)) * 6.0
    channels = [
        np.abs(sextant - 3.0) - 1.0,
        2.0 - np.abs(sextant - 2.0),
        2.0 - np.abs(sextant - 4.0),
    ]
    pure = np.minimum(np.maximum(np.stack(channels, -1), 0.0), 1.0)
    rgb = 1.0 - saturation[:, None] * (1.0 - pure)
    now = luminance(rgb)
    darker = rgb * (light / now)[:, None]
    # The smallest number keeps white (now == 1) from dividing by zero.
    lift = (light - now) / np.maximum(1.0 - now, 1e-9)
    lighter = rgb + (1.0 - rgb) * lift[:, None]
    return np.where((light <= now)[:, None], darker, lighter)
