"""Where timm's names for the parts of a transformer have their place in ours."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.converters.base import Source, dense_kernel

MARKER = "patch_embed.proj.weight"
# A classifier or a projection head, on top of the encoder.
HEADS = (r"head\.", r"fc\.")


def blocks(depth: int, before: str, qkv_bias: bool = True) -> dict[str, Source]:
    """Sources of a stack of transformer blocks.

    Args:
        depth: Number of blocks.
        before: What names in the reference begin with, before the number.
        qkv_bias: Whether queries, keys and values have biases.
    """
    found: dict[str, Source] = {}
    for i in range(depth):
        found |= block(f"block{i + 1}", f"{before}{i}", qkv_bias)
    return found


def block(mine: str, theirs: str, qkv_bias: bool = True) -> dict[str, Source]:
    """Sources of a transformer block."""
    return {
        **norm(f"{mine}/norm1", f"{theirs}.norm1"),
        **dense(f"{mine}/attention/qkv", f"{theirs}.attn.qkv", qkv_bias),
        **dense(f"{mine}/attention/out", f"{theirs}.attn.proj"),
        **norm(f"{mine}/norm2", f"{theirs}.norm2"),
        **dense(f"{mine}/dense1", f"{theirs}.mlp.fc1"),
        **dense(f"{mine}/dense2", f"{theirs}.mlp.fc2"),
    }


def dense(path: str, name: str, bias: bool = True) -> dict[str, Source]:
    """Sources of a dense layer."""
    found = {f"{path}/kernel": Source((f"{name}.weight",), dense_kernel)}
    return found | ({f"{path}/bias": Source((f"{name}.bias",))} if bias else {})


def norm(path: str, name: str) -> dict[str, Source]:
    """Sources of a layer norm."""
    return {
        f"{path}/gamma": Source((f"{name}.weight",)),
        f"{path}/beta": Source((f"{name}.bias",)),
    }


def positions(
    side: int,
    fixed: Callable[..., tf.Tensor] | None,
    offset: float,
    class_token: bool = True,
) -> Callable[[np.ndarray], np.ndarray]:
    """How the table of a reference's positions becomes ours.

    Args:
        side: Patches in a row and a column of ours.
        fixed: Makes the table where positions are not learned.
        offset: See `ops.interpolate_positions`.
        class_token: Whether the first position is a class token's.

    Returns:
        Maps `(1, 1 + patches, d)` of any square grid to ours. Raises ValueError if the
        grid is not square, or if its values are not those of `fixed`.
    """

    def transform(table: np.ndarray) -> np.ndarray:
        theirs = math.isqrt(table.shape[1] - class_token)
        if fixed is not None:
            exact = fixed(table.shape[-1], theirs, class_token=class_token)
            if exact.shape != table.shape[1:] or not np.allclose(table, exact, 0, 1e-3):
                raise ValueError(
                    "not the fixed positions that the encoder is made with; give it "
                    "other `positions`, such as 'learned'"
                )
        wide = tf.constant(table, tf.float32)
        return ops.interpolate_positions(
            wide, (theirs, theirs), (side, side), offset, class_token
        ).numpy()

    return transform


def patches() -> dict[str, Source]:
    """Sources of the projection of patches."""
    return {
        "patches/kernel": Source((MARKER,), _patch_kernel),
        "patches/bias": Source((MARKER.replace("weight", "bias"),)),
    }


def within(before: str, sources: Mapping[str, Source]) -> dict[str, Source]:
    """The sources of a part, by their paths in the whole."""
    return {f"{before}{path}": source for path, source in sources.items()}


def _patch_kernel(x: np.ndarray) -> np.ndarray:
    """`(width, c, h, w)` of a convolution to `(h * w * c, width)` of a dense layer."""
    return np.transpose(x, (2, 3, 1, 0)).reshape(-1, len(x))
