"""BEiT's weights, by the names of microsoft/unilm; SimMIM's ViT has the same."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.converters import base, names
from keras_ssl.converters.base import Source
from keras_ssl.core.tracing import named_variables, prefix_of
from keras_ssl.encoders.beit import BEiT

_TABLE = "relative_position_bias_table"
_SHARED = f"rel_pos_bias.{_TABLE}"
# Buffers, which follow from the sizes.
_BUFFERS = (r"(.*\.)?relative_position_index$",)
_PRETRAINING = (r"lm_head\.", r"mask_token$")


def beit(
    state_dict: Mapping[str, Any], model: keras.Model, prefix: str | None = None
) -> base.Report:
    """Fills an encoder, or one with its mask token and head, from BEiT's state dict.

    Every name is audited, all or nothing. Into an encoder alone mask token, head and
    classifier are left out. As for the authors' fine-tuning, biases that blocks share
    go to each block of an encoder with biases `per_block`, and biases and positions of
    another image size are interpolated. Where features are means the norm is
    `fc_norm`, or `norm` where a checkpoint has no other.

    Args:
        state_dict: Names and arrays in PyTorch's layout; nested dictionaries, such as
            under `model` or `module`, are allowed.
        model: A `BEiT`, or a built model with a `BEiT` as `encoder`, a linear layer as
            `head` and the variable `mask_token`, of the same sizes.
        prefix: What the names begin with; found if None.

    Returns:
        What was done.

    Raises:
        TypeError: If `model` is neither.
        ValueError: If a name is missing or unexpected, or a shape is wrong; nothing is
            assigned then.
    """
    arrays = base.flatten(state_dict)
    if prefix is None:
        prefix = base.find_prefix(arrays, names.MARKER)
    known = {name[len(prefix) :] for name in arrays if name.startswith(prefix)}
    ignore: tuple[str, ...] = (*_BUFFERS, *names.HEADS)
    if isinstance(model, BEiT):
        if not model.built:
            model.build(None)
        sources = _encoder(model, known)
        ignore += _PRETRAINING
    else:
        sources = _whole(model, known)
    return base.load(arrays, model, sources, ignore=ignore, prefix=prefix)


def _whole(model: keras.Model, known: set[str]) -> dict[str, Source]:
    """Sources of an encoder, a head and a mask token, by their paths in `model`."""
    encoder, head, token = (
        getattr(model, part, None) for part in ("encoder", "head", "mask_token")
    )
    if not isinstance(encoder, BEiT) or head is None or token is None:
        raise TypeError(
            "model must be a BEiT, or have a BEiT as encoder, a linear layer as head "
            f"and a mask_token; got {type(model).__name__}."
        )
    paths = {id(v): path for path, v in named_variables(model).items()}
    logits = {
        "kernel": Source(("lm_head.weight",), base.dense_kernel),
        "bias": Source(("lm_head.bias",)),
    }
    heads = {path: logits.get(path.split("/")[-1]) for path in named_variables(head)}
    return {
        **names.within(prefix_of(model, encoder), _encoder(encoder, known)),
        **names.within(
            prefix_of(model, head), {k: v for k, v in heads.items() if v is not None}
        ),
        paths[id(token)]: Source(("mask_token",), np.ravel),
    }


def _encoder(encoder: BEiT, known: set[str]) -> dict[str, Source]:
    """Sources of all variables of an encoder, for the names of a checkpoint."""
    side, _ = encoder.grid(encoder.image_size, encoder.image_size)
    pooled = encoder.pooling == "mean" and "fc_norm.weight" in known
    found = {
        "class_token": Source(("cls_token",)),
        **names.patches(),
        **names.norm("norm", "fc_norm" if pooled else "norm"),
    }
    if encoder.positions == "learned":
        table = names.positions(side, None, offset=0.0)
        found["positions"] = Source(("pos_embed",), table)
    if encoder.relative == "shared":
        found["relative_bias/table"] = Source((_SHARED,), _table(side))
    for i in range(encoder.depth):
        found |= _block(encoder, i, side, _SHARED in known)
    return found


def _block(encoder: BEiT, number: int, side: int, shared: bool) -> dict[str, Source]:
    """Sources of a block; of a bias that is `shared` in the reference, or its own."""
    mine, theirs = f"block{number + 1}", f"blocks.{number}"
    found = names.block(mine, theirs, qkv_bias=False)
    if encoder.qkv_bias:
        for part in ("query", "value"):
            name = f"{theirs}.attn.{part[0]}_bias"
            found[f"{mine}/attention/{part}_bias"] = Source((name,))
    if encoder.layer_scale is not None:
        for branch in (1, 2):
            found[f"{mine}/scale{branch}"] = Source((f"{theirs}.gamma_{branch}",))
    if encoder.relative == "per_block":
        name = _SHARED if shared else f"{theirs}.attn.{_TABLE}"
        found[f"{mine}/relative_bias/table"] = Source((name,), _table(side))
    return found


def _table(side: int) -> Callable[[np.ndarray], np.ndarray]:
    """How biases of any square window become those of `side` x `side` patches."""

    def transform(table: np.ndarray) -> np.ndarray:
        theirs = (math.isqrt(max(0, len(table) - ops.CLASS_ROWS)) + 1) // 2
        return ops.resize_relative_positions(
            tf.constant(table, tf.float32),
            (theirs, theirs),
            (side, side),
            class_token=True,
        ).numpy()

    return transform
