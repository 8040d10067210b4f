"""Uniform numbers in other ranges, and checks of what steps are given."""

import math

import tensorflow as tf


def between(limits: tuple[float, float], uniforms: tf.Tensor) -> tf.Tensor:
    return limits[0] + (limits[1] - limits[0]) * uniforms


def append(columns: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    return tf.concat([columns, tf.fill([tf.shape(columns)[0], 1], last)], axis=1)


def offset(
    room: tf.Tensor, uniforms: tf.Tensor, central: tf.Tensor | bool
) -> tf.Tensor:
    """Whole pixels in [0, room], or half the room where the part is central."""
    # Rounding in float32 may lift the product to room + 1.
    anywhere = tf.minimum(tf.floor(uniforms * (room + 1.0)), room)
    return tf.where(central, tf.floor(room / 2.0), anywhere)


def check_pixels(name: str, value: int) -> None:
    if not (isinstance(value, int) and value > 0):
        raise ValueError(f"Expected {name} in pixels, >= 1. Received: {value!r}")


def check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"Expected {name} in [0, 1]. Received: {value}")


def check_range(name: str, limits: tuple[float, float], most: float) -> None:
    if len(limits) != 2 or not 0 < limits[0] <= limits[1] <= most:
        raise ValueError(
            f"Expected {name} to be (least, greatest) with 0 < least <= greatest"
            f"{'' if math.isinf(most) else f' <= {most:g}'}. Received: {limits}"
        )
