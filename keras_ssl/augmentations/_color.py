"""Colour operations; see `functional`.

All of them work on the three colour planes, never on an interleaved pixel: the
compiler then fuses a whole chain into one vectorised loop.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

Planes: TypeAlias = Sequence[tf.Tensor]
Values: TypeAlias = float | tf.Tensor

# ITU-R 601 luma to four digits, as tf.image and SimCLR have it: they sum to 0.9999.
_LUMA = (0.2989, 0.5870, 0.1140)
# Planes of so many pixels are averaged in so many lanes.
_LONG, _LANES = 64 * 64, 64


def adjust_brightness(images: tf.Tensor, factor: Values) -> tf.Tensor:
    """Multiplies images by a factor, without clipping.

    SimCLR v2's brightness (`tf2/data_util.py`); SimCLR v1's adds a number instead.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        factor: Scalar or `(n,)`, >= 0. 1 changes nothing.

    Returns:
        Images of the same shape, in [0, factor].
    """
    return _on_planes(lambda planes: [p * _column(factor) for p in planes], images)


def adjust_contrast(images: tf.Tensor, factor: Values) -> tf.Tensor:
    """Scales the distance of each pixel to its image's mean, without clipping.

    The mean is per image and channel (TensorFlow's convention); torchvision uses one
    mean of the gray image.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        factor: Scalar or `(n,)`, >= 0. 1 changes nothing, 0 leaves the mean colour.

    Returns:
        Images of the same shape; beyond [0, 1] where the factor is above 1.
    """
    f = _column(factor)
    return _on_planes(
        lambda planes: [p * f + _mean(p) * (1.0 - f) for p in planes], images
    )


def adjust_saturation(images: tf.Tensor, factor: Values) -> tf.Tensor:
    """Multiplies the saturation (HSV) by a factor and clips it to [0, 1].

    TensorFlow's convention; torchvision blends with the gray image.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        factor: Scalar or `(n,)`, >= 0. 1 changes nothing, 0 leaves grays.

    Returns:
        Images of the same shape in [0, 1].
    """
    return _on_planes(lambda p: _shift_hsv(p, _column(factor), _column(0.0)), images)


def adjust_hue(images: tf.Tensor, delta: Values) -> tf.Tensor:
    """Turns the hue (HSV).

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        delta: Scalar or `(n,)` in turns: 0 and 1 change nothing, 1/3 makes red green.

    Returns:
        Images of the same shape in [0, 1].
    """
    return _on_planes(lambda p: _shift_hsv(p, _column(1.0), _column(delta)), images)


def to_grayscale(images: tf.Tensor) -> tf.Tensor:
    """Replaces each pixel by its luma, repeated in the three channels.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].

    Returns:
        Images of the same shape, in [0, 0.9999]: the weights fall short of 1.
    """
    return _on_planes(
        lambda planes: [sum(w * p for w, p in zip(_LUMA, planes, strict=True))] * 3,
        images,
    )


def solarize(images: tf.Tensor, threshold: Values = 0.5) -> tf.Tensor:
    """Inverts the values that reach a threshold (BYOL, appendix B).

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        threshold: Scalar or `(n,)`; values >= it become one minus themselves. Above 1
            changes nothing. PIL's 128 is 128 / 255 here.

    Returns:
        Images of the same shape in [0, 1].
    """
    limit = _column(threshold)
    return _on_planes(
        lambda planes: [tf.where(p < limit, p, 1.0 - p) for p in planes], images
    )


def color_jitter(
    images: tf.Tensor,
    *,
    brightness: Values,
    contrast: Values,
    saturation: Values,
    hue: Values,
    order: tf.Tensor,
) -> tf.Tensor:
    """Applies the four colour adjustments in an order of its own to each image.

    Clips to [0, 1] after each of them. Hue and saturation read the same HSV and
    commute, so what counts is only where each lies with respect to brightness and
    contrast: before both, between or after. Five passes (HSV, linear, HSV, linear,
    HSV) hold all 24 orders, each image with neutral values where a pass is not its own.

    Args:
        images: `(n, h, w, 3)` or `(h, w, 3)` floats in [0, 1].
        brightness: Factor, scalar or `(n,)`, >= 0.
        contrast: Factor, scalar or `(n,)`, >= 0.
        saturation: Factor, scalar or `(n,)`, >= 0.
        hue: Turn, scalar or `(n,)`.
        order: `(4,)` or `(n, 4)` sort keys of brightness, contrast, saturation and
            hue, all different: the smallest key acts first.

    Returns:
        Images of the same shape in [0, 1].
    """
    images = tf.convert_to_tensor(images)
    keys = tf.reshape(tf.cast(order, tf.float32), (-1, 4))
    b_key, c_key, s_key, h_key = (_column(key) for key in tf.unstack(keys, axis=1))
    factor, turn = _column(saturation), _column(hue)
    b_factor, c_factor = _column(brightness), _column(contrast)
    contrast_first = c_key < b_key

    def place(key: tf.Tensor) -> tf.Tensor:
        return tf.cast(b_key < key, tf.int32) + tf.cast(c_key < key, tf.int32)

    s_place, h_place = place(s_key), place(h_key)

    # One image alone leaves out what does not concern it; of many, some need each.
    alone = images.shape.rank == 3 or images.shape[0] == 1
    shift, scale = (_maybe_shift, _scale_one) if alone else (_shift_hsv, _scale_each)

    def jitter(planes: Planes) -> Planes:
        for i, is_contrast in enumerate((contrast_first, ~contrast_first, None)):
            planes = shift(
                planes,
                tf.where(s_place == i, factor, 1.0),
                tf.where(h_place == i, turn, 0.0),
            )
            if is_contrast is not None:
                planes = scale(planes, is_contrast, b_factor, c_factor)
        return planes

    return _on_planes(jitter, images)


def select(condition: tf.Tensor, images: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Takes each image from one batch where its condition holds, else from the other.

    Args:
        condition: `(n,)` booleans.
        images: `(n, h, w, 3)` floats.
        others: `(n, h, w, 3)` floats.

    Returns:
        `(n, h, w, 3)` floats.
    """
    chosen = condition[:, None]
    return _on_planes(
        lambda one, other: [
            tf.where(chosen, p, q) for p, q in zip(one, other, strict=True)
        ],
        images,
        others,
    )


def _on_planes(change: Callable[..., Planes], *images: tf.Tensor) -> tf.Tensor:
    """Applies a function of three `(n, h * w)` colour planes to one image or a batch.

    Flat planes make the innermost loop of the compiled code long: what is constant for
    an image is computed once an image, not once a row.
    """
    first = tf.convert_to_tensor(images[0])
    if first.shape.rank == 3:
        return _on_planes(change, *(one[None] for one in images))[0]
    shape = tf.shape(first)[:3]
    flat = (shape[0], shape[1] * shape[2])
    planes = [
        [tf.reshape(plane, flat) for plane in tf.unstack(one, 3, axis=-1)]
        for one in images
    ]
    return tf.stack([tf.reshape(plane, shape) for plane in change(*planes)], axis=-1)


def _column(values: Values) -> tf.Tensor:
    """Shapes a scalar or `(n,)` values so that they broadcast with planes."""
    return tf.reshape(tf.cast(values, tf.float32), (-1, 1))


def _mean(plane: tf.Tensor) -> tf.Tensor:
    """The mean of each row `(n, 1)`, summed in lanes that the processor adds at once.

    One long sum waits for each addition to end, since the compiler keeps its order.
    """
    length = plane.shape[1]
    if length is None or length % _LANES or length < _LONG:
        return tf.reduce_mean(plane, axis=1, keepdims=True)
    lanes = tf.reshape(plane, (-1, length // _LANES, _LANES))
    return tf.reduce_mean(tf.reduce_mean(lanes, axis=1), axis=1, keepdims=True)


def _clip(plane: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(plane, 0.0, 1.0)


def _scale_each(
    planes: Planes, is_contrast: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor
) -> Planes:
    """Contrast for the images where `is_contrast`, brightness for the others."""
    scale = tf.where(is_contrast, contrast, brightness)
    pull = tf.where(is_contrast, 1.0 - contrast, 0.0)
    return [_clip(p * scale + _mean(p) * pull) for p in planes]


def _scale_one(
    planes: Planes, is_contrast: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor
) -> Planes:
    """`_scale_each` of one image, which needs no mean for brightness."""
    return tf.cond(
        tf.squeeze(is_contrast),
        lambda: [_clip(p * contrast + _mean(p) * (1.0 - contrast)) for p in planes],
        lambda: [_clip(p * brightness) for p in planes],
    )


def _maybe_shift(planes: Planes, factor: tf.Tensor, turn: tf.Tensor) -> Planes:
    """`_shift_hsv` of one image, left out where it changes nothing."""
    acts = tf.squeeze((factor != 1.0) | (turn != 0.0))
    return tf.cond(
        acts, lambda: list(_shift_hsv(planes, factor, turn)), lambda: list(planes)
    )


def _shift_hsv(planes: Planes, factor: tf.Tensor, turn: tf.Tensor) -> Planes:
    """Scales saturation and turns hue of three planes, in one HSV round trip.

    Saturation is chroma / value, so a scaled and clipped saturation is
    `min(chroma * factor, value)` over the value, and no division is needed for it.
    """
    red, green, blue = planes
    value = tf.maximum(red, tf.maximum(green, blue))
    chroma = value - tf.minimum(red, tf.minimum(green, blue))
    # Grays have no hue: any finite number will do, since their chroma stays 0.
    scale = 1.0 / tf.maximum(chroma, 1e-12)
    # Never `value == red`: XLA computes either afresh where it fuses, at times with a
    # last bit of difference, and equality then picks a wrong colour. Where two
    # channels are nearly equal both branches of a comparison give the same hue.
    sextant = tf.where(
        red >= tf.maximum(green, blue),
        (green - blue) * scale,
        tf.where(
            green >= blue, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale
        ),
    )
    hue = sextant / 6.0 + turn
    hue = 6.0 * (hue - tf.floor(hue))
    chroma = tf.minimum(chroma * factor, value)
    # How much of the chroma each channel lacks: the three ramps of the HSV hexagon.
    lacks = (2.0 - tf.abs(hue - 3.0), tf.abs(hue - 2.0) - 1.0, tf.abs(hue - 4.0) - 1.0)
    return [value - chroma * _clip(lack) for lack in lacks]
