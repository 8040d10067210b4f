"""Attention maps: what the class token of an encoder takes from each patch."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl import ops

# Heads that are drawn, the first ones: a sheet of more is not looked at.
_HEADS = 6


def has_attention(encoder: Any) -> bool:
    """Whether an encoder can say what it attends to."""
    return hasattr(encoder, "attention") and hasattr(encoder, "patch_size")


def attention_maps(encoder: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Draws what an encoder's class token attends to in its last block.

    Args:
        encoder: With `attention` and `patch_size`, as ViT and BEiT.
        images: `(n, h, w, 3)` floats in [0, 1].

    Returns:
        `(n, h, w, 3)` floats in [0, 1] by what they show, see
        `ops.attention_pictures`: the image, each of the first heads, and what 60 % of
        the attention falls on.
    """
    shown = tf.convert_to_tensor(images, tf.float32)
    attention = tf.cast(encoder.attention(shown), tf.float32)
    made = ops.attention_pictures(shown, attention, encoder.patch_size)
    hidden = [f"head {i + 1}" for i in range(_HEADS, int(attention.shape[1]))]
    return {name: x.numpy() for name, x in made.items() if name not in hidden}
