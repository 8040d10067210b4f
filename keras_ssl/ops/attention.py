"""What attention looks at, as sets of patches and as pictures."""

import tensorflow as tf


def smallest_set(weights: tf.Tensor, share: float) -> tf.Tensor:
    """Marks the fewest entries that hold a share of the whole.

    Args:
        weights: `(..., l)`, not negative.
        share: Of their sum, in (0, 1].

    Returns:
        `(..., l)` float32: 1 for the greatest entries, as many as it takes; at least
        one. Of equal ones the first count.

    Raises:
        ValueError: If `share` is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must be in (0, 1], got {share}.")
    order = tf.argsort(weights, axis=-1, direction="DESCENDING", stable=True)
    falling = tf.gather(weights, order, axis=-1, batch_dims=order.shape.rank - 1)
    before = tf.cumsum(falling, axis=-1, exclusive=True)
    needed = before < share * tf.reduce_sum(weights, axis=-1, keepdims=True)
    # The greatest counts even where all are 0.
    needed |= tf.range(tf.shape(weights)[-1]) == 0
    places = tf.argsort(order, axis=-1)
    marked = tf.gather(needed, places, axis=-1, batch_dims=places.shape.rank - 1)
    return tf.cast(marked, tf.float32)


def attention_pictures(
    images: tf.Tensor, attention: tf.Tensor, patch_size: int, share: float = 0.6
) -> dict[str, tf.Tensor]:
    """Draws what a class token attends to (DINO, figures 1 and 3).

    Args:
        images: `(n, h, w, 3)` in [0, 1].
        attention: `(n, heads, 1 + patches, 1 + patches)`, class token first.
        patch_size: Side of a patch in pixels.
        share: Of the attention to patches, in (0, 1], for the last picture.

    Returns:
        `(n, h, w, 3)` each: the image; each head's attention to patches, 1 where it is
        greatest; the image where the mean of the heads holds `share`, dark elsewhere.
    """
    maps = attention[:, :, 0, 1:]
    bright = maps / tf.reduce_max(maps, axis=-1, keepdims=True)
    heads = {
        f"head {i + 1}": _enlarge(head, images, patch_size)
        for i, head in enumerate(tf.unstack(bright, axis=1))
    }
    held = smallest_set(tf.reduce_mean(maps, axis=1), share)
    light = 0.15 + 0.85 * _enlarge(held, images, patch_size)
    return {"image": images, **heads, f"{share:.0%}": images * light}


def _enlarge(weights: tf.Tensor, images: tf.Tensor, size: int) -> tf.Tensor:
    """Numbers of patches `(n, patches)` as gray squares `(n, h, w, 3)`."""
    rows, columns = images.shape[1] // size, images.shape[2] // size
    grid = tf.reshape(weights, [-1, rows, columns, 1])
    wide = tf.repeat(tf.repeat(grid, size, axis=1), size, axis=2)
    return tf.tile(wide, [1, 1, 1, 3])
