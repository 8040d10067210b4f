"""Deterministic operations on images, each on one image or on a batch.

Images are floats in [0, 1], `(n, h, w, 3)` or `(h, w, 3)`. What an operation is told
(a factor, a box, a threshold) is one value for all images or one for each of them,
so a policy draws its numbers first and then calls these.
"""

from keras_ssl.augmentations._color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    select,
    solarize,
    to_grayscale,
)
from keras_ssl.augmentations._geometry import (
    check_border,
    check_method,
    crop_and_resize,
    gaussian_blur,
)

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "check_border",
    "check_method",
    "color_jitter",
    "crop_and_resize",
    "gaussian_blur",
    "select",
    "solarize",
    "to_grayscale",
]
