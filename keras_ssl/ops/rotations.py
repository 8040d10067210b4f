"""Quarter turns, exact: no interpolation, which would give the turn away."""

import tensorflow as tf


def rotate_quarter(images: tf.Tensor, k: int | tf.Tensor) -> tf.Tensor:
    """Turns images by `90 * k` degrees, counter-clockwise (RotNet, dataloader.py).

    Args:
        images: `(n, h, w, c)`; square where `k` is a tensor.
        k: Quarter turns of all images, or `(n,)` integers, one for each.

    Returns:
        The turned images; an odd `k` swaps height and width.

    Raises:
        ValueError: If `k` is a tensor and the images are not square.
    """
    if isinstance(k, int):
        return _turned(images, k % 4)
    if images.shape[1] != images.shape[2]:
        raise ValueError(
            "Only square images can each have a turn of their own; got images of "
            f"{images.shape[1]} x {images.shape[2]} pixels."
        )
    k = tf.reshape(tf.cast(k, tf.int32) % 4, [-1, 1, 1, 1])
    result = images
    for turns in (1, 2, 3):
        result = tf.where(k == turns, _turned(images, turns), result)
    return result


def _turned(images: tf.Tensor, turns: int) -> tf.Tensor:
    if turns == 0:
        return images
    if turns == 2:
        return tf.reverse(images, [1, 2])
    axis = 1 if turns == 1 else 2
    return tf.reverse(tf.transpose(images, [0, 2, 1, 3]), [axis])
