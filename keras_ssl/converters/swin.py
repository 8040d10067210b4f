"""Swin's weights, by the names of microsoft/Swin-Transformer; SimMIM's are the same."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.converters import base, names
from keras_ssl.converters.base import Source, dense_kernel
from keras_ssl.encoders.swin import Swin

# Buffers, which follow from the sizes; SimMIM's mask token.
_SPARE = (
    r".*\.relative_position_index$",
    r".*\.attn_mask$",
    r"mask_token$",
    *names.HEADS,
)


def swin(
    state_dict: Mapping[str, Any], model: keras.Model, prefix: str | None = None
) -> base.Report:
    """Fills a Swin from a state dict of its authors', or of SimMIM's.

    Every name is audited, all or nothing. Classifiers and mask tokens are left out. As
    for the authors' fine-tuning, biases of windows of another size and positions of
    another image size are interpolated bicubically.

    Args:
        state_dict: Names and arrays in PyTorch's layout; nested dictionaries, such as
            under `model`, are allowed.
        model: An encoder of the same sizes.
        prefix: What the names begin with, such as `model.encoder.`; found if None.

    Returns:
        What was done.

    Raises:
        TypeError: If `model` is not a `Swin`.
        ValueError: If a name is missing or unexpected, or a shape is wrong; nothing is
            assigned then.
    """
    if not isinstance(model, Swin):
        raise TypeError(f"model must be a Swin, got {type(model).__name__}.")
    if not model.built:
        model.build(None)
    return base.load(
        base.flatten(state_dict), model, _sources(model), _SPARE, names.MARKER, prefix
    )


def _sources(model: Swin) -> dict[str, Source]:
    """Sources of all variables of a Swin."""
    found = {**names.patches(), **names.norm("norm", "norm")}
    if model.patch_norm:
        found |= names.norm("first_norm", "patch_embed.norm")
    if model.positions == "learned":
        rows, _ = model.grids[0]
        table = names.positions(rows, None, offset=0.0, class_token=False)
        found["positions"] = Source(("absolute_pos_embed",), table)
    for stage, depth in enumerate(model.depths):
        for i in range(depth):
            mine = f"stage{stage + 1}_block{i + 1}"
            theirs = f"layers.{stage}.blocks.{i}"
            found |= names.block(mine, theirs, model.qkv_bias)
            found[f"{mine}/relative_bias/table"] = Source(
                (f"{theirs}.attn.relative_position_bias_table",),
                _table(model.sides[stage]),
            )
    for stage in range(len(model.depths) - 1):
        mine, theirs = f"merge{stage + 1}", f"layers.{stage}.downsample"
        found |= names.norm(f"{mine}/norm", f"{theirs}.norm")
        found[f"{mine}/reduce/kernel"] = Source(
            (f"{theirs}.reduction.weight",), dense_kernel
        )
    return found


def _table(side: int) -> Callable[[np.ndarray], np.ndarray]:
    """How biases of any square window become those of one of `side` x `side`."""

    def transform(table: np.ndarray) -> np.ndarray:
        theirs = math.isqrt(len(table))
        return ops.interpolate_positions(
            tf.constant(table, tf.float32)[None],
            (theirs, theirs),
            (2 * side - 1, 2 * side - 1),
            class_token=False,
        )[0].numpy()

    return transform
