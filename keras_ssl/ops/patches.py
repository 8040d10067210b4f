"""Images as sequences of square patches, and back."""

import math

import tensorflow as tf


def patchify(images: tf.Tensor, patch_size: int) -> tf.Tensor:
    """Cuts images into patches, each one row of numbers (MAE, models_mae.py).

    Args:
        images: `(n, h, w, c)`; height and width are multiples of `patch_size`.
        patch_size: Side of a patch, pixels.

    Returns:
        `(n, l, patch_size * patch_size * c)`: patches row by row over the image; inside
        a patch pixels row by row, the channel varying fastest.

    Raises:
        ValueError: If the size is no multiple of `patch_size`.
    """
    _, height, width, channels = images.shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"Images of {height} x {width} pixels cannot be cut into patches of "
            f"{patch_size}; give views whose size is a multiple of it."
        )
    rows, columns = height // patch_size, width // patch_size
    x = tf.reshape(images, [-1, rows, patch_size, columns, patch_size, channels])
    x = tf.transpose(x, [0, 1, 3, 2, 4, 5])
    return tf.reshape(x, [-1, rows * columns, patch_size * patch_size * channels])


def unpatchify(
    patches: tf.Tensor, patch_size: int, grid: tuple[int, int] | None = None
) -> tf.Tensor:
    """Puts patches together again: the inverse of `patchify`.

    Args:
        patches: `(n, l, patch_size * patch_size * c)`.
        patch_size: Side of a patch, pixels.
        grid: Rows and columns of patches; a square of them if None.

    Returns:
        `(n, h, w, c)` images.

    Raises:
        ValueError: If the patches do not fill the grid.
    """
    _, length, numbers = patches.shape
    rows, columns = grid or (math.isqrt(length),) * 2
    if rows * columns != length or numbers % patch_size**2:
        raise ValueError(
            f"{length} patches of {numbers} numbers do not make {rows} x {columns} "
            f"patches of {patch_size} x {patch_size} pixels. Say the grid where images "
            "are not square."
        )
    channels = numbers // patch_size**2
    x = tf.reshape(patches, [-1, rows, columns, patch_size, patch_size, channels])
    x = tf.transpose(x, [0, 1, 3, 2, 4, 5])
    return tf.reshape(x, [-1, rows * patch_size, columns * patch_size, channels])


def overlapping_patches(images: tf.Tensor, patch_size: int, stride: int) -> tf.Tensor:
    """Cuts images into a grid of patches that may overlap (CPC).

    Args:
        images: `(n, h, w, c)`, at least `patch_size` on each side.
        patch_size: Side of a patch, pixels.
        stride: From a patch to the next, pixels. What is left at the far sides, less
            than a stride, is in no patch.

    Returns:
        `(n, rows, columns, patch_size, patch_size, c)`, where there are
        `(h - patch_size) // stride + 1` rows, and as many columns for `w`.

    Raises:
        ValueError: If the images are smaller than a patch.
    """
    _, height, width, _ = images.shape
    if min(height, width) < patch_size:
        raise ValueError(
            f"Images of {height} x {width} pixels are smaller than a patch of "
            f"{patch_size}; give larger views or smaller patches."
        )
    rows, columns = (
        tf.range(0, side - patch_size + 1, stride)[:, None] + tf.range(patch_size)
        for side in (height, width)
    )
    x = tf.gather(tf.gather(images, rows, axis=1), columns, axis=3)
    return tf.transpose(x, [0, 1, 3, 2, 4, 5])


def hide_patches(images: tf.Tensor, mask: tf.Tensor, patch_size: int) -> tf.Tensor:
    """Paints some patches grey.

    Args:
        images: `(n, h, w, c)` in [0, 1].
        mask: `(n, l)`, 1 where a patch is hidden, row by row.
        patch_size: Side of a patch, pixels.

    Returns:
        Images of the same shape.
    """
    hidden = mask[..., None]
    patches = patchify(images, patch_size) * (1 - hidden) + 0.5 * hidden
    grid = (images.shape[1] // patch_size, images.shape[2] // patch_size)
    return unpatchify(patches, patch_size, grid)
