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

    For images of 32 px `RandomCrop(32, part=1.0, pad=4)` is the customary shift of
    CIFAR by up to four pixels; `RandomCrop(224)` is ImageNet's crop of 224 px out of
    an image whose shorter side has been made 256 px.

    Args:
        size: Height and width of the result, pixels.
        part: Side of the square, a fraction of the image's shorter side in (0, 1].
        pad: Black pixels put around the image before, >= 0.
        flip: Probability of mirroring left and right.
        method: "bilinear" or "bicubic"; see `functional.crop_and_resize`.
        antialias: Whether shrinking averages; see `functional.crop_and_resize`.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int
    part: float = 224 / 256
    pad: int = 0
    flip: float = 0.5
    method: str = "bilinear"
    antialias: bool = True

    draws = 3

    def __post_init__(self) -> None:
        _check_pixels("size", self.size)
        if not (isinstance(self.pad, int) and self.pad >= 0):
            raise ValueError(f"Expected pad in pixels, >= 0. Received: {self.pad!r}")
        if not 0 < self.part <= 1:
            raise ValueError(
                f"Expected part of the shorter side, in (0, 1]. Received: {self.part}"
            )
        _check_probability("flip", self.flip)
        functional.check_method(self.method)

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        boxes = self.boxes(height, width, uniforms)
        if self.pad:
            around = (self.pad, self.pad)
            images = tf.pad(images, ((0, 0), around, around, (0, 0)))
            boxes = self._within_padded(boxes, height, width)
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
        """Where the squares lie.

        Args:
            height: Of the images, pixels, without padding.
            width: Of the images, pixels, without padding.
            uniforms: `(n, draws)` in [0, 1).

        Returns:
            `(n, 4)` top, left, bottom, right, fractions of height and width; below 0
            and above 1 where a square reaches into the padding.
        """
        height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        side = tf.maximum(tf.round(self.part * tf.minimum(height, width)), 1.0)
        top, left = (
            _offset(length + 2.0 * self.pad - side, uniforms[:, i], False) - self.pad
            for i, length in enumerate((height, width))
        )
        return tf.stack(
            [top / height, left / width, (top + side) / height, (left + side) / width],
            axis=1,
        )

    def _within_padded(
        self, boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor
    ) -> tf.Tensor:
        """The same boxes as fractions of the padded images."""
        sides = tf.cast(tf.stack([height, width, height, width]), tf.float32)
        return (boxes * sides + self.pad) / (sides + 2.0 * self.pad)


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
