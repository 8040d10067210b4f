"""Images as papers on transfer show them: short sides of one length, then middles."""

import tensorflow as tf


def short_side(images: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes images by their short sides and takes their middles.

    Bicubic, with antialiasing: SimCLR, appendix B.8 (https://arxiv.org/abs/2002.05709).

    Args:
        images: `(n, h, w, 3)` uint8 or floats in [0, 1], all of one size.
        size: Side of the result in pixels.

    Returns:
        `(n, size, size, 3)` float32 in [0, 1].
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    short = tf.minimum(height, width)
    # In whole numbers, rounded: the short side must not lose a pixel.
    sides = [(side * size + short // 2) // short for side in (height, width)]

    def resize() -> tf.Tensor:
        made = tf.image.resize(images, sides, "bicubic", antialias=True)
        return tf.clip_by_value(made, 0.0, 1.0)

    # Bicubic weights of no change are not exactly 1.
    made = tf.cond(tf.equal(short, size), lambda: images, resize)
    top, left = (sides[0] - size) // 2, (sides[1] - size) // 2
    middle = made[:, top : top + size, left : left + size]
    return tf.ensure_shape(middle, [None, size, size, 3])
