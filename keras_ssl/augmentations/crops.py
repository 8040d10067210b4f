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
