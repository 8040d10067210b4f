"""How the dense layers of vision transformers start."""

import keras

from keras_ssl.core import checks

# How kernels start: see `kernel_initializer`.
INITS = ("normal", "normal_by_depth", "xavier", "xavier_qkv")
# Deviation of what is left of a normal distribution within one deviation.
_WITHIN_ONE = 0.5396


def kernel_initializer(
    init: str, parts: int = 1, ends: int = 0
) -> keras.initializers.Initializer:
    """A new initialiser of a dense kernel.

    Args:
        init: `normal` (standard deviation 0.02: ViT, DINO), `normal_by_depth` (the
            last kernel of a branch starts smaller the deeper it is: BEiT), `xavier`
            (uniform: MAE) or `xavier_qkv` (uniform, with the limits that a kernel of
            several parts would have if each were alone: MoCo v3).
        parts: Kernels that lie side by side in this one.
        ends: Number, from 1, of the block of which the kernel ends a branch; 0 if it
            ends none.

    Raises:
        ValueError: If `init` is unknown.
    """
    checks.one_of(INITS, init=init)
    if init == "normal":
        # The references truncate at -2 and 2, not at two deviations: hardly ever.
        return keras.initializers.RandomNormal(stddev=0.02)
    if init == "normal_by_depth":
        # microsoft/unilm beit/modeling_pretrain.py truncates 0.02 at one deviation.
        spread = 0.02 * _WITHIN_ONE
        return keras.initializers.RandomNormal(stddev=spread / (2 * ends or 1) ** 0.5)
    # Fans of (d, parts * d) are (1 + parts) / 2 times those of (d, d).
    scale = (1 + parts) / 2 if init == "xavier_qkv" else 1.0
    return keras.initializers.VarianceScaling(scale, "fan_avg", "uniform")
