"""Random steps: what the policies are composed of.

A step says how many uniform numbers it needs for an example (`draws`) and turns images
and numbers into images. It has no state and no generator, so that an example's result
depends on its pixels and numbers alone.
"""

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

from keras_ssl.augmentations import functional
from keras_ssl.augmentations._numbers import (
    between,
    check_pixels,
    check_probability,
    check_range,
)

# Pixels from which on images take their steps one by one.
_LARGE = 64 * 64


class Step(Protocol):
    """A random change of images."""

    @property
    def draws(self) -> int:
        """How many uniform numbers an example takes."""

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        """Changes `(n, h, w, 3)` floats in [0, 1] by `(n, draws)` uniforms."""


@dataclasses.dataclass(frozen=True)
class ColorJitter:
    """Changes brightness, contrast, saturation and hue in random order.

    Each factor is uniform in `[max(0, 1 - strength), 1 + strength]`, the turn of the
    hue in `[-hue, hue]`; values are clipped to [0, 1] after each change.

    Args:
        brightness: Strength, >= 0.
        contrast: Strength, >= 0.
        saturation: Strength, >= 0.
        hue: Greatest turn, in [0, 0.5]; 0.5 is half a turn, every hue.
        probability: Of changing an image at all.

    Raises:
        ValueError: If a number is out of its range.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float = 0.8

    draws = 9

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"Expected {name} >= 0; 0 leaves it alone. "
                    f"Received: {getattr(self, name)}"
                )
        if not 0 <= self.hue <= 0.5:
            raise ValueError(
                "Expected hue in [0, 0.5], in turns; 0.5 reaches every hue. "
                f"Received: {self.hue}"
            )
        check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        acts = uniforms[:, 0] < self.probability

        def factor(strength: float, column: int) -> tf.Tensor:
            limits = (max(0.0, 1.0 - strength), 1.0 + strength)
            return tf.where(acts, between(limits, uniforms[:, column]), 1.0)

        return functional.color_jitter(
            images,
            brightness=factor(self.brightness, 1),
            contrast=factor(self.contrast, 2),
            saturation=factor(self.saturation, 3),
            hue=tf.where(acts, between((-self.hue, self.hue), uniforms[:, 4]), 0.0),
            order=uniforms[:, 5:9],
        )


@dataclasses.dataclass(frozen=True)
class Grayscale:
    """Makes some images gray.

    Args:
        probability: Of each image.

    Raises:
        ValueError: If the probability is out of [0, 1].
    """

    probability: float = 0.2

    draws = 1

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        acts = uniforms[:, 0] < self.probability
        return functional.select(acts, functional.to_grayscale(images), images)


@dataclasses.dataclass(frozen=True)
class GaussianBlur:
    """Blurs some images.

    Args:
        kernel_size: Taps; an even number counts as the next odd one.
        sigma: Least and greatest, pixels, uniform, > 0.
        probability: Of each image.
        border: "zeros" or "edge"; see `functional.gaussian_blur`.

    Raises:
        ValueError: If a number is out of its range.
    """

    kernel_size: int
    sigma: tuple[float, float] = (0.1, 2.0)
    probability: float = 0.5
    border: str = "zeros"

    draws = 2

    def __post_init__(self) -> None:
        check_pixels("kernel_size", self.kernel_size)
        check_range("sigma", self.sigma, math.inf)
        functional.check_border(self.border)
        check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        acts = uniforms[:, 0] < self.probability
        sigma = between(self.sigma, uniforms[:, 1])
        blurred = functional.gaussian_blur(images, self.kernel_size, sigma, self.border)
        return functional.select(acts, blurred, images)


@dataclasses.dataclass(frozen=True)
class Solarize:
    """Inverts the bright values of some images (BYOL).

    Args:
        threshold: In [0, 1]; values that reach it are inverted.
        probability: Of each image.

    Raises:
        ValueError: If a number is out of [0, 1].
    """

    threshold: float = 0.5
    probability: float = 0.2

    draws = 1

    def __post_init__(self) -> None:
        check_probability("threshold", self.threshold)
        check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        # No value reaches 2: the images that are left alone.
        acts = uniforms[:, 0] < self.probability
        return functional.solarize(images, tf.where(acts, self.threshold, 2.0))


def apply(steps: tuple[Step, ...], images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Takes steps one after the other.

    Large images take them one by one: each leaves out what its numbers say does not
    act, and stays in the processor's cache from the first step to the last. Small ones
    take them together, since a batch of them is one long loop.

    Args:
        steps: What to do.
        images: `(n, h, w, 3)` floats in [0, 1].
        uniforms: `(n, sum of the steps' draws)` in [0, 1).

    Returns:
        `(n, h', w', 3)` floats in [0, 1].
    """
    draws = [step.draws for step in steps]
    height, width = images.shape[1:3]
    if height is None or width is None or height * width < _LARGE:
        for step, rows in zip(steps, tf.split(uniforms, draws, axis=1), strict=True):
            images = step(images, rows)
        return images

    def one(example: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, numbers = example[0][None], tf.split(example[1][None], draws, axis=1)
        for step, row in zip(steps, numbers, strict=True):
            image = _perhaps(step, image, row)
        return image[0]

    if images.shape[0] == 1:
        return one((images[0], uniforms[0]))[None]
    return tf.map_fn(one, (images, uniforms), fn_output_signature=images.dtype)


def _perhaps(step: Step, image: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """Takes a step with one image, or leaves it out where it would not act."""
    if not isinstance(step, (ColorJitter, Grayscale, GaussianBlur, Solarize)):
        return step(image, row)
    sure = dataclasses.replace(step, probability=1.0)
    acts = row[0, 0] < step.probability
    return tf.cond(acts, lambda: sure(image, row), lambda: image)


def chain(*steps: Step) -> tuple[Step, ...]:
    """The steps that can act: what never does costs nothing.

    Two views that differ in such steps only share one compiled program.
    """
    return tuple(step for step in steps if _can_act(step))


def _can_act(step: Step) -> bool:
    if isinstance(step, ColorJitter):
        strengths = (step.brightness, step.contrast, step.saturation, step.hue)
        return step.probability > 0 and any(strengths)
    return getattr(step, "probability", 1.0) > 0
