"""Losses over hidden patches."""

import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import distribute

# As facebookresearch/mae models_mae.py forward_loss.
_TINY = 1e-6


def mae(
    prediction: tf.Tensor,
    images: tf.Tensor,
    mask: tf.Tensor,
    patch_size: int = 16,
    norm_pix_loss: bool = False,
) -> tf.Tensor:
    """Mean squared error over the pixels of hidden patches (MAE, section 3).

    Args:
        prediction: `(n, l, patch_size * patch_size * c)`, for all patches.
        images: `(n, h, w, c)`, what to predict.
        mask: `(n, l)`, 1 where a patch is hidden.
        patch_size: Side of a patch, pixels.
        norm_pix_loss: Whether each patch of the target has its own mean subtracted
            and is divided by its own deviation (unbiased, as in the reference).

    Returns:
        Scalar: the mean over the hidden patches of the global batch, so that images
        with more of them weigh more.

    Raises:
        ValueError: If the images cannot be cut into the predicted patches.
    """
    target = ops.patchify(images, patch_size)
    if not prediction.shape[1:].is_compatible_with(target.shape[1:]):
        raise ValueError(
            f"prediction is {prediction.shape}, and the images' patches of "
            f"{patch_size} pixels are {target.shape}; they must be the same."
        )
    if norm_pix_loss:
        mean, deviation = patch_statistics(target)
        target = (target - mean) / deviation
    error = tf.reduce_mean(tf.math.squared_difference(prediction, target), axis=-1)
    # Replicas may hide different numbers of patches: the mean is that of all.
    hidden = distribute.mean(tf.reduce_sum(mask))
    return tf.math.divide_no_nan(tf.reduce_sum(error * mask), hidden)


def patch_statistics(patches: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `norm_pix_loss` normalises by.

    Args:
        patches: `(n, l, d)`.

    Returns:
        Mean and unbiased standard deviation of each patch, `(n, l, 1)`.
    """
    mean = tf.reduce_mean(patches, axis=-1, keepdims=True)
    squares = tf.reduce_sum((patches - mean) ** 2, axis=-1, keepdims=True)
    return mean, tf.sqrt(squares / (patches.shape[-1] - 1) + _TINY)
