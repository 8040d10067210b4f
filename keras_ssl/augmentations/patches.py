"""Views of each patch of an image by itself, as in CPC v2."""

import tensorflow as tf

from keras_ssl.augmentations.views import Views
from keras_ssl.core import randomness


def render_patches(views: Views, patches: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Renders one view of every patch, each with random numbers of its own.

    Args:
        views: Policy whose first view has the patches' size.
        patches: `(n, rows, columns, size, size, 3)` floats in [0, 1].
        seeds: `(n, 2)` int32, the batch's `seed`.

    Returns:
        Views, of the patches' shape.

    Raises:
        ValueError: If the views have another size.
    """
    _, rows, columns, *shape = patches.shape
    bits = randomness.step_uniforms(seeds, 2 * rows * columns) * 2.0**24
    each = tf.reshape(tf.cast(bits, tf.int32), [-1, 2])
    made = views.render(tf.reshape(patches, [-1, *shape]), each)[0]
    if made.shape[1:] != shape:
        raise ValueError(
            f"Views of patches must have the patches' size, {shape[0]} pixels; they "
            f"have {made.shape[1]}."
        )
    return tf.reshape(made, [-1, rows, columns, *shape])
