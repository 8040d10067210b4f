"""Random crops: the first steps of views, which fix their size."""

import dataclasses
import math

import tensorflow as tf

from keras_ssl.augmentations import functional
from keras_ssl.augmentations._numbers import (
    append,
    between,
    check_pixels,
    check_probability,
    check_range,
    offset,
)

# torchvision's RandomResizedCrop tries as often before it falls back.
_TRIES = 10


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
        check_pixels("size", self.size)
        check_range("area", self.area, 1.0)
        check_range("aspect", self.aspect, math.inf)
        check_probability("flip", self.flip)
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
        areas = between(self.area, uniforms[:, :_TRIES]) * height * width
        log_aspect = (math.log(self.aspect[0]), math.log(self.aspect[1]))
        aspects = tf.exp(between(log_aspect, uniforms[:, _TRIES : 2 * _TRIES]))
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
            tf.gather(append(tries, last), first, batch_dims=1)
            for tries, last in zip((heights, widths), fallback, strict=True)
        )
        fell_back = first == _TRIES
        top = offset(height - h, uniforms[:, -3], fell_back)
        left = offset(width - w, uniforms[:, -2], fell_back)
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
        check_pixels("size", self.size)
        if not 0 < self.part <= 1:
            raise ValueError(
                f"Expected part of the shorter side, in (0, 1]. Received: {self.part}"
            )
        check_probability("flip", self.flip)
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
        top = offset(height - side, uniforms[:, 0], False)
        left = offset(width - side, uniforms[:, 1], False)
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
        corner = offset(room - side, uniforms[:, :2], False)
        return functional.crop_and_resize(
            padded,
            tf.concat([corner / room, (corner + side) / room], axis=1),
            self.size,
            self.method,
            self.antialias,
            flip=uniforms[:, -1] < self.flip,
        )
