"""Crops, resizes and blurs as separable weighted sums; see `functional`."""

import functools
from collections.abc import Callable

import tensorflow as tf


def crop_and_resize(
    images: tf.Tensor,
    boxes: tf.Tensor,
    size: int | tuple[int, int],
    method: str = "bilinear",
    antialias: bool = False,
    flip: tf.Tensor | bool = False,
) -> tf.Tensor:
    """Cuts a box out of each image, resizes it and mirrors it, all in one pass.

    The same as slicing the box and calling `tf.image.resize` where the box's edges lie
    between pixels: samples at half-pixel centres, and no pixel from outside the box.
    Rows and columns are resized by a small matrix an image, so the box may differ from
    image to image and the whole is two batched matrix products. Pixels that a box
    covers partly count fully.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        boxes: `(n, 4)` or `(4,)` floats: top, left, bottom, right as fractions of
            height and width in [0, 1], top < bottom and left < right.
        size: Height and width of the result, or one number for both.
        method: "bilinear" or "bicubic" (Keys, a = -0.5; its overshoot is clipped).
        antialias: Whether the kernel widens where the box shrinks. SimCLR's and
            BYOL's code doesn't; PIL, and so torchvision, does.
        flip: Scalar or `(n,)` booleans: mirror left and right.

    Returns:
        `(n, height, width, 3)` or `(height, width, 3)` floats in [0, 1].

    Raises:
        ValueError: If the method is unknown.
    """
    check_method(method)
    images, boxes = tf.convert_to_tensor(images), tf.cast(boxes, tf.float32)
    if images.shape.rank == 3:
        return crop_and_resize(images[None], boxes, size, method, antialias, flip)[0]
    height, width = (size, size) if isinstance(size, int) else size
    top, left, bottom, right = tf.unstack(tf.reshape(boxes, (-1, 4)), axis=1)
    rows = _resize_matrix(top, bottom, tf.shape(images)[1], height, method, antialias)
    # A mirrored box is one whose samples run from its right edge to its left.
    left, right = tf.where(flip, right, left), tf.where(flip, left, right)
    columns = _resize_matrix(left, right, tf.shape(images)[2], width, method, antialias)
    n, h, w = tf.unstack(tf.shape(images))[:3]
    rows_done = tf.matmul(rows, tf.reshape(images, (n, h, w * 3)))
    planes = tf.transpose(tf.reshape(rows_done, (n, height, w, 3)), (0, 3, 1, 2))
    tall = tf.reshape(planes, (n, 3 * height, w))
    done = tf.reshape(tf.matmul(tall, columns, transpose_b=True), (n, 3, height, width))
    # Plane by plane, as the colour operations take it apart again: see `_color`.
    planes = tf.unstack(done, axis=1)
    if method == "bicubic":
        planes = [tf.clip_by_value(plane, 0.0, 1.0) for plane in planes]
    return tf.stack(planes, axis=-1)


def check_method(method: str) -> None:
    """Raises a ValueError if `crop_and_resize` does not know the method."""
    if method not in _KERNELS:
        raise ValueError(
            f"Expected method to be one of {sorted(_KERNELS)}. Received: {method!r}"
        )


def check_border(border: str) -> None:
    """Raises a ValueError if `gaussian_blur` does not know the border."""
    if border not in ("zeros", "edge"):
        raise ValueError(
            f"Expected border to be 'edge' or 'zeros'. Received: {border!r}"
        )


def gaussian_blur(
    images: tf.Tensor,
    kernel_size: int,
    sigma: float | tf.Tensor,
    border: str = "zeros",
) -> tf.Tensor:
    """Blurs with a Gaussian of `2 * (kernel_size // 2) + 1` taps.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        kernel_size: Taps, >= 1; an even number counts as the next odd one.
        sigma: Scalar or `(n,)`, pixels, > 0.
        border: What lies outside: "zeros", so that borders darken, as in SimCLR's and
            BYOL's code; or "edge", the nearest pixel, as in Pillow.

    Returns:
        Images of the same shape.

    Raises:
        ValueError: If the border is unknown.
    """
    check_border(border)
    images = tf.convert_to_tensor(images)
    if images.shape.rank == 3:
        return gaussian_blur(images[None], kernel_size, sigma, border)[0]
    radius = kernel_size // 2
    offsets = tf.range(radius + 1, dtype=tf.float32)
    sigma = tf.reshape(tf.cast(sigma, tf.float32), (-1, 1))
    taps = tf.exp(-tf.square(offsets / sigma) / 2.0)
    taps /= 2.0 * tf.reduce_sum(taps, axis=1, keepdims=True) - 1.0

    def along(planes: tf.Tensor, axis: int) -> tf.Tensor:
        length = tf.shape(planes)[axis]
        padded = _widen(planes, axis, radius, border)

        def shifted(by: int) -> tf.Tensor:
            begin, size = [0] * 4, [-1] * 4
            begin[axis], size[axis] = radius + by, length
            return tf.slice(padded, begin, size)

        blurred = taps[:, 0, None, None, None] * planes
        for i in range(1, radius + 1):
            pair = shifted(-i) + shifted(i)
            blurred += taps[:, i, None, None, None] * pair
        return tf.ensure_shape(blurred, planes.shape)

    planes = tf.transpose(images, (0, 3, 1, 2))
    for axis in (2, 3):
        # Always so. XLA doesn't look across a condition; where it does it computes
        # the first direction anew for each tap of the second.
        positive = tf.reduce_all(sigma > 0)
        blur, same = functools.partial(along, planes, axis), planes
        planes = tf.cond(positive, blur, lambda same=same: same)
    return tf.transpose(planes, (0, 2, 3, 1))


def _widen(planes: tf.Tensor, axis: int, by: int, border: str) -> tf.Tensor:
    """Continues planes at both ends of an axis."""
    if border == "zeros":
        return tf.pad(planes, [[by * (i == axis)] * 2 for i in range(4)])
    first, last = (
        tf.gather(planes, [at], axis=axis) for at in (0, tf.shape(planes)[axis] - 1)
    )
    return tf.concat([first] * by + [planes] + [last] * by, axis=axis)


def _triangle(distance: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1.0 - distance, 0.0)


def _keys_cubic(distance: tf.Tensor) -> tf.Tensor:
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return tf.where(distance < 1.0, near, tf.where(distance < 2.0, far, 0.0))


_KERNELS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "bilinear": _triangle,
    "bicubic": _keys_cubic,
}


def _resize_matrix(
    start: tf.Tensor,
    end: tf.Tensor,
    length: tf.Tensor,
    size: int,
    method: str,
    antialias: bool,
) -> tf.Tensor:
    """Interpolation weights `(n, size, length)` along one axis.

    `start` and `end` are `(n,)` fractions of the `length` pixels; samples run from the
    first to the second, so a start above the end mirrors.
    """
    pixels = tf.cast(length, tf.float32)
    start, end = start[:, None, None] * pixels, end[:, None, None] * pixels
    step = (end - start) / size
    samples = start + (tf.range(size, dtype=tf.float32)[:, None] + 0.5) * step
    centers = tf.range(pixels) + 0.5
    distance = tf.abs(samples - centers)
    if antialias:
        distance /= tf.maximum(tf.abs(step), 1.0)
    low, high = tf.minimum(start, end), tf.maximum(start, end)
    # A fraction times the length is off by a rounding error: 1e-3 of a pixel of slack.
    covered = (centers + 0.499 > low) & (centers - 0.499 < high)
    weights = tf.where(covered, _KERNELS[method](distance), 0.0)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
