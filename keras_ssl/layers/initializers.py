"""How the dense layers of vision transformers start."""

import keras

from keras_ssl.core import checks

# How kernels start: see `kernel_initializer`.
INITS = ("normal", "xavier", "xavier_qkv")


def kernel_initializer(init: str, parts: int = 1) -> keras.initializers.Initializer:
    """A new initialiser of a dense kernel.

    Args:
        init: `normal` (standard deviation 0.02: ViT, DINO, BEiT), `xavier` (uniform:
            MAE) or `xavier_qkv` (uniform, with the limits that a kernel of several
            parts would have if each were alone: MoCo v3).
        parts: Kernels that lie side by side in this one.

    Raises:
        ValueError: If `init` is unknown.
    """
    checks.one_of(INITS, init=init)
    if init == "normal":
        # The references truncate at -2 and 2, not at two deviations: hardly ever.
        return keras.initializers.RandomNormal(stddev=0.02)
    # Fans of (d, parts * d) are (1 + parts) / 2 times those of (d, d).
    scale = (1 + parts) / 2 if init == "xavier_qkv" else 1.0
    return keras.initializers.VarianceScaling(scale, "fan_avg", "uniform")
