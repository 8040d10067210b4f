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

# torchvision's RandomResizedCrop tries as often before it falls back.
_TRIES = 10
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
class RandomResizedCrop:
    """Cuts out a random part, resizes it and mirrors it (Inception's crop).

    Draws an area and an aspect ratio until the part fits into the image, ten times at
    most, then takes the largest central part of a legal aspect ratio, as torchvision
    does. Parts have whole pixels. The ten pairs are drawn at once and the first that
    fits counts.

    Args:
        size: Height and width of the result, pixels.
        area: Least and greatest area, fractions of the image in (0, 1].
        aspect: Least and greatest width / height, log-uniform, > 0.
        flip: Probability of mirroring left and right.
        method: "bilinear" or "bicubic"; see `functional.crop_and_resize`.
        antialias: Whether shrinking averages; see `functional.crop_and_resize`.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    method: str = "bicubic"
    antialias: bool = False

    draws = 2 * _TRIES + 3

    def __post_init__(self) -> None:
        _check_pixels("size", self.size)
        _check_range("area", self.area, 1.0)
        _check_range("aspect", self.aspect, math.inf)
        _check_probability("flip", self.flip)
        functional.check_method(self.method)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        boxes = self.boxes(tf.shape(images)[1], tf.shape(images)[2], uniforms)
        return functional.crop_and_resize(
            images,
            boxes,
            self.size,
            self.method,
            self.antialias,
            flip=uniforms[:, -1] < self.flip,
        )

    def boxes(
        self, height: tf.Tensor | int, width: tf.Tensor | int, uniforms: tf.Tensor
    ) -> tf.Tensor:
        """Where the parts lie.

        Args:
            height: Of the images, pixels.
            width: Of the images, pixels.
            uniforms: `(n, draws)` in [0, 1).

        Returns:
            `(n, 4)` top, left, bottom, right, fractions of height and width.
        """
        height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        areas = _between(self.area, uniforms[:, :_TRIES]) * height * width
        log_aspect = (math.log(self.aspect[0]), math.log(self.aspect[1]))
        aspects = tf.exp(_between(log_aspect, uniforms[:, _TRIES : 2 * _TRIES]))
        heights = tf.round(tf.sqrt(areas / aspects))
        widths = tf.round(tf.sqrt(areas * aspects))
        fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
        # The last column is the fallback: it always fits.
        fallback = (
            tf.minimum(height, tf.maximum(tf.round(width / self.aspect[0]), 1.0)),
            tf.minimum(width, tf.maximum(tf.round(height * self.aspect[1]), 1.0)),
        )
        first = tf.argmax(tf.pad(fits, ((0, 0), (0, 1)), constant_values=True), axis=1)
        h, w = (
            tf.gather(_append(tries, last), first, batch_dims=1)
            for tries, last in zip((heights, widths), fallback, strict=True)
        )
        fell_back = first == _TRIES
        top = _offset(height - h, uniforms[:, -3], fell_back)
        left = _offset(width - w, uniforms[:, -2], fell_back)
        return tf.stack(
            [top / height, left / width, (top + h) / height, (left + w) / width], axis=1
        )


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Cuts a square out at a random place, resizes it and mirrors it.

    The default is ImageNet's crop of 224 px out of an image whose shorter side has been
    made 256 px, in one go.

    Args:
        size: Height and width of the result, pixels.
        part: Side of the square, a fraction of the image's shorter side in (0, 1].
        flip: Probability of mirroring left and right.
        method: "bilinear" or "bicubic"; see `functional.crop_and_resize`.
        antialias: Whether shrinking averages; see `functional.crop_and_resize`.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int
    part: float = 224 / 256
    flip: float = 0.5
    method: str = "bilinear"
    antialias: bool = True

    draws = 3

    def __post_init__(self) -> None:
        _check_pixels("size", self.size)
        if not 0 < self.part <= 1:
            raise ValueError(
                f"Expected part of the shorter side, in (0, 1]. Received: {self.part}"
            )
        _check_probability("flip", self.flip)
        functional.check_method(self.method)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        return functional.crop_and_resize(
            images,
            self.boxes(tf.shape(images)[1], tf.shape(images)[2], uniforms),
            self.size,
            self.method,
            self.antialias,
            flip=uniforms[:, -1] < self.flip,
        )

    def boxes(
        self, height: tf.Tensor | int, width: tf.Tensor | int, uniforms: tf.Tensor
    ) -> tf.Tensor:
        """Where the squares lie; see `RandomResizedCrop.boxes`."""
        height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        side = tf.maximum(tf.round(self.part * tf.minimum(height, width)), 1.0)
        top = _offset(height - side, uniforms[:, 0], False)
        left = _offset(width - side, uniforms[:, 1], False)
        return tf.stack(
            [top / height, left / width, (top + side) / height, (left + side) / width],
            axis=1,
        )


@dataclasses.dataclass(frozen=True)
class PaddedCrop:
    """Puts black around an image, cuts a square out of it and mirrors it.

    `PaddedCrop(32)` is the customary shift of CIFAR's images by up to four pixels.

    Args:
        size: Height and width of the result, pixels. The square has as many pixels as
            the shorter side of the image; other images are resized.
        pad: Width of the black margin, pixels, >= 0.
        flip: Probability of mirroring left and right.
        method: "bilinear" or "bicubic"; see `functional.crop_and_resize`.
        antialias: Whether shrinking averages; see `functional.crop_and_resize`.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int
    pad: int = 4
    flip: float = 0.5
    method: str = "bilinear"
    antialias: bool = True

    draws = 3

    def __post_init__(self) -> None:
        if not (isinstance(self.pad, int) and self.pad >= 0):
            raise ValueError(f"Expected pad in pixels, >= 0. Received: {self.pad!r}")
        RandomCrop(self.size, 1.0, self.flip, self.method, self.antialias)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        sides = tf.cast(tf.shape(images)[1:3], tf.float32)
        around = (self.pad, self.pad)
        padded = tf.pad(images, ((0, 0), around, around, (0, 0)))
        side, room = tf.reduce_min(sides), sides + 2.0 * self.pad
        corner = _offset(room - side, uniforms[:, :2], False)
        return functional.crop_and_resize(
            padded,
            tf.concat([corner / room, (corner + side) / room], axis=1),
            self.size,
            self.method,
            self.antialias,
            flip=uniforms[:, -1] < self.flip,
        )


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
        _check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        acts = uniforms[:, 0] < self.probability

        def factor(strength: float, column: int) -> tf.Tensor:
            limits = (max(0.0, 1.0 - strength), 1.0 + strength)
            return tf.where(acts, _between(limits, uniforms[:, column]), 1.0)

        return functional.color_jitter(
            images,
            brightness=factor(self.brightness, 1),
            contrast=factor(self.contrast, 2),
            saturation=factor(self.saturation, 3),
            hue=tf.where(acts, _between((-self.hue, self.hue), uniforms[:, 4]), 0.0),
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
        _check_probability("probability", self.probability)

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
        _check_pixels("kernel_size", self.kernel_size)
        _check_range("sigma", self.sigma, math.inf)
        functional.check_border(self.border)
        _check_probability("probability", self.probability)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        acts = uniforms[:, 0] < self.probability
        sigma = _between(self.sigma, uniforms[:, 1])
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
        _check_probability("threshold", self.threshold)
        _check_probability("probability", self.probability)

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


def _between(limits: tuple[float, float], uniforms: tf.Tensor) -> tf.Tensor:
    return limits[0] + (limits[1] - limits[0]) * uniforms


def _append(columns: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    return tf.concat([columns, tf.fill([tf.shape(columns)[0], 1], last)], axis=1)


def _offset(
    room: tf.Tensor, uniforms: tf.Tensor, central: tf.Tensor | bool
) -> tf.Tensor:
    """Whole pixels in [0, room], or half the room where the part is central."""
    # Rounding in float32 may lift the product to room + 1.
    anywhere = tf.minimum(tf.floor(uniforms * (room + 1.0)), room)
    return tf.where(central, tf.floor(room / 2.0), anywhere)


def _check_pixels(name: str, value: int) -> None:
    if not (isinstance(value, int) and value > 0):
        raise ValueError(f"Expected {name} in pixels, >= 1. Received: {value!r}")


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"Expected {name} in [0, 1]. Received: {value}")


def _check_range(name: str, limits: tuple[float, float], most: float) -> None:
    if len(limits) != 2 or not 0 < limits[0] <= limits[1] <= most:
        raise ValueError(
            f"Expected {name} to be (least, greatest) with 0 < least <= greatest"
            f"{'' if math.isinf(most) else f' <= {most:g}'}. Received: {limits}"
        )
