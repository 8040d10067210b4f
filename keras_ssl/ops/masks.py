"""Which patches a masked method hides; 1 is hidden everywhere."""

import tensorflow as tf


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
