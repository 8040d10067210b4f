"""GELU: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415."""

import math
from collections.abc import Callable

import tensorflow as tf


def gelu(x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """`x` times the share of a normal distribution below `x`, with the exact erf.

    Computed in float32 whatever the dtype. In training value and slope are compiled
    into one pass, and the slope is all that is kept for the way back; `tf.nn.gelu`
    takes a pass for each operation and keeps several tensors. These are the widest
    activations of a transformer.

    Args:
        x: Of any shape.
        training: Whether gradients are wanted; a served model does without XLA.

    Returns:
        The same shape and dtype.
    """
    return _trained(x) if training else _value_and_slope(x)[0]


def _value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    wide = tf.cast(x, tf.float32)
    below = 0.5 + 0.5 * tf.math.erf(wide * math.sqrt(0.5))
    density = tf.exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)
    return tf.cast(wide * below, x.dtype), tf.cast(below + wide * density, x.dtype)


_compiled = tf.function(_value_and_slope, jit_compile=True, autograph=False)


@tf.custom_gradient
def _trained(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    value, slope = _compiled(x)
    return value, lambda upstream: upstream * slope
