"""Which patches a masked method hides; 1 is hidden everywhere."""

import math

import tensorflow as tf

# Numbers that `blocks_at_times` takes of an example: whether, how much, and four for
# each of more blocks than a mask needs.
BLOCK_DRAWS = 2 + 4 * 64

# Attempts to place a block before an example's mask is taken as it is.
_PATIENCE = 10


def random_masking_from_noise(
    noise: tf.Tensor, mask_ratio: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Hides the patches of the greatest noise (MAE, models_mae.py random_masking).

    Args:
        noise: `(n, l)` numbers without ties, such as uniform ones: an example's own.
        mask_ratio: Share of patches that are hidden, in [0, 1).

    Returns:
        `ids_keep`, `(n, kept)` int32: the patches that stay, by rising noise, where
        `kept` is `int(l * (1 - mask_ratio))` as in the reference;
        `mask`, `(n, l)` float32: 1 where hidden, in the patches' order;
        `ids_restore`, `(n, l)` int32: gathers shuffled patches, the kept ones first,
        into the patches' order.

    Raises:
        ValueError: If `mask_ratio` is out of range.
    """
    if not 0.0 <= mask_ratio < 1.0:
        raise ValueError(f"mask_ratio must be in [0, 1), got {mask_ratio}.")
    kept = int(noise.shape[1] * (1 - mask_ratio))
    ids_shuffle = tf.argsort(noise, axis=1, stable=True)
    ids_restore = tf.argsort(ids_shuffle, axis=1, stable=True)
    mask = tf.cast(ids_restore >= kept, tf.float32)
    return ids_shuffle[:, :kept], mask, ids_restore


def blockwise_mask(
    uniforms: tf.Tensor,
    input_size: tuple[int, int],
    num_masking_patches: float | tf.Tensor,
    min_num_patches: float = 16,
    max_num_patches: float | None = None,
    min_aspect: float = 0.3,
) -> tf.Tensor:
    """Hides rectangles of patches until enough are hidden (BEiT, iBOT).

    As the authors' code (microsoft/unilm beit/masking_generator.py, bytedance/ibot
    loader.py): a block that hides more than is still asked for, or does not fit, is
    drawn anew; after ten in a row that fail an example keeps what it has. So never more
    than asked for are hidden, and at times a few less. BEiT's paper goes on until
    enough are hidden.

    Args:
        uniforms: `(n, 4 * attempts)` in [0, 1), an example's own. About 10 attempts
            are taken, and in 20,000 draws never 64, on grids up to 37 x 37; a mask
            whose attempts are used up stays as it is.
        input_size: Rows and columns of patches.
        num_masking_patches: How many to hide, for all or `(n,)`; may be fractions.
        min_num_patches: Least area of a block, in patches, unless less are left.
        max_num_patches: Greatest one; as many as are left if None.
        min_aspect: Least height / width of a block, in (0, 1]; log-uniform from it to
            its inverse.

    Returns:
        `(n, rows * columns)` float32, 1 where hidden, row by row.

    Raises:
        ValueError: If there are less than 4 numbers an example, or `min_aspect` or an
            area is out of range.
    """
    rows, columns = input_size
    attempts = uniforms.shape[1] // 4
    if attempts < 1:
        raise ValueError(f"A block takes 4 numbers, got {uniforms.shape[1]}.")
    if not 0.0 < min_aspect <= 1.0:
        raise ValueError(f"min_aspect must be in (0, 1], got {min_aspect}.")
    greatest = math.inf if max_num_patches is None else max_num_patches
    if not 0 < min_num_patches <= greatest:
        raise ValueError(
            "min_num_patches must be positive and at most max_num_patches; received "
            f"{min_num_patches} and {max_num_patches}."
        )
    draws = tf.reshape(uniforms[:, : 4 * attempts], [-1, attempts, 4])
    draws = tf.transpose(draws, [1, 2, 0])
    start = tf.zeros_like(uniforms[:, :1, None]) + tf.zeros([rows, columns])
    wanted = tf.cast(num_masking_patches, tf.float32) + tf.zeros_like(uniforms[:, 0])
    spread = math.log(min_aspect)

    def left(mask: tf.Tensor) -> tf.Tensor:
        return wanted - tf.reduce_sum(mask, axis=[1, 2])

    def goes_on(mask: tf.Tensor, failures: tf.Tensor) -> tf.Tensor:
        return (failures < _PATIENCE) & (left(mask) > 0)

    def attempt(
        i: tf.Tensor, mask: tf.Tensor, failures: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        size, shape, top, side = tf.unstack(draws[i])
        most = tf.minimum(left(mask), greatest)
        area = min_num_patches + (most - min_num_patches) * size
        aspect = tf.exp(spread * (1 - 2 * shape))
        high, wide = tf.round(tf.sqrt(area * aspect)), tf.round(tf.sqrt(area / aspect))
        block = _span(rows, high, top)[:, :, None] * _span(columns, wide, side)[:, None]
        new = block * (1 - mask)
        count = tf.reduce_sum(new, axis=[1, 2])
        # Strictly smaller than the grid, as in the reference.
        good = (high < rows) & (wide < columns) & (count > 0) & (count <= most)
        good &= goes_on(mask, failures)
        mask += new * tf.cast(good, tf.float32)[:, None, None]
        return i + 1, mask, tf.where(good, 0, failures + 1)

    _, mask, _ = tf.while_loop(
        lambda i, mask, failures: tf.reduce_any(goes_on(mask, failures)),
        attempt,
        (0, start, tf.zeros_like(uniforms[:, 0], tf.int32)),
        maximum_iterations=attempts,
    )
    return tf.reshape(mask, [-1, rows * columns])


def blocks_at_times(
    uniforms: tf.Tensor,
    input_size: tuple[int, int],
    ratio: tuple[float, float],
    probability: float = 0.5,
) -> tf.Tensor:
    """Hides blocks of some examples, of each a share of its own (iBOT).

    Blocks have at least the square of a third of the grid's shorter side, as in
    bytedance/ibot loader.py.

    Args:
        uniforms: `(n, 2 + 4 * attempts)` in [0, 1), an example's own, such as
            `(n, BLOCK_DRAWS)`; see `blockwise_mask`.
        input_size: Rows and columns of patches.
        ratio: Least and greatest share of the patches that are hidden, in [0, 1).
        probability: Of an example to have hidden patches.

    Returns:
        `(n, rows * columns)` float32, 1 where hidden, row by row.

    Raises:
        ValueError: If a number is out of range.
    """
    least, greatest = ratio
    if not 0.0 <= least <= greatest < 1.0 or not 0.0 <= probability <= 1.0:
        raise ValueError(
            "ratio must be two rising numbers in [0, 1) and probability in [0, 1]; "
            f"received {ratio} and {probability}."
        )
    rows, columns = input_size
    share = least + (greatest - least) * uniforms[:, 1]
    share = tf.where(uniforms[:, 0] < probability, share, 0.0)
    return blockwise_mask(
        uniforms[:, 2:],
        input_size,
        share * rows * columns,
        max(1, (min(rows, columns) // 3) ** 2),
    )


def _span(length: int, size: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """`(n, length)`: 1 on `size` entries, begun at a share `place` of what is free."""
    first = tf.floor(place * (length - size + 1))[:, None]
    entries = tf.range(length, dtype=tf.float32)
    return tf.cast((entries >= first) & (entries < first + size[:, None]), tf.float32)
