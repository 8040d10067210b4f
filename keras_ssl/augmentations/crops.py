"""What a view may begin with: a step that cuts a box out of an image.

Any step may be the first of a view as long as it fixes the size. One that is a `Crop`
is also cut straight out of a file: of a large image only the part that some view shows
is decoded, and only the box itself is resized.
"""

from typing import Protocol, runtime_checkable

import tensorflow as tf


@runtime_checkable
class Crop(Protocol):
    """A step that cuts a box out of each image, resizes it and may mirror it.

    Calling it must be the same as `functional.crop_and_resize(images, boxes, size,
    method, antialias, flip=uniforms[:, -1] < flip)` with the boxes of its `boxes`. A
    step with these members is a `Crop`; it need not inherit anything.

    Attributes:
        size: Height and width of the result, pixels.
        method: "bilinear" or "bicubic".
        antialias: Whether shrinking averages.
        flip: Probability of mirroring; the last uniform decides.
    """

    size: int
    method: str
    antialias: bool
    flip: float

    @property
    def draws(self) -> int:
        """How many uniform numbers an example takes."""

    def boxes(
        self, height: tf.Tensor | int, width: tf.Tensor | int, uniforms: tf.Tensor
    ) -> tf.Tensor:
        """Boxes `(n, 4)` from `(n, draws)` uniforms: top, left, bottom, right.

        They are fractions of height and width in [0, 1].
        """

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        """Cuts, as `Step` has it."""


def resize(
    pixels: tf.Tensor,
    size: int,
    method: str = "bilinear",
    antialias: bool = False,
    flip: tf.Tensor | bool = False,
) -> tf.Tensor:
    """Resizes and mirrors one part of an image, as `functional.crop_and_resize` does.

    On one part of any size TensorFlow's kernels take a tenth of the time of matrix
    products. Where its bicubic kernel doesn't widen it rounds positions to 1/1024 of
    a pixel, which moves values by less than 1e-3.

    Args:
        pixels: `(h, w, 3)` uint8.
        size: Height and width of the result.
        method: "bilinear" or "bicubic".
        antialias: Whether shrinking averages.
        flip: Scalar boolean: mirror left and right.

    Returns:
        `(size, size, 3)` float32 in [0, 1].
    """
    made = tf.image.resize(pixels, [size, size], method, antialias=antialias)
    made = tf.clip_by_value(made / 255.0, 0.0, 1.0)
    return tf.cond(
        tf.convert_to_tensor(flip), lambda: tf.reverse(made, [1]), lambda: made
    )


def part(pixels: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Cuts one box out of an image.

    Args:
        pixels: `(h, w, 3)`.
        box: `(4,)` int32: top, left, bottom, right.

    Returns:
        The part, `(bottom - top, right - left, 3)`.
    """
    # Rows of numbers are copied as a whole; pixels of three would be one by one.
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    rows = tf.reshape(pixels, [height, 3 * width])
    top, left, bottom, right = tf.unstack(box)
    cut = tf.slice(rows, [top, 3 * left], [bottom - top, 3 * (right - left)])
    return tf.reshape(cut, [bottom - top, right - left, 3])
