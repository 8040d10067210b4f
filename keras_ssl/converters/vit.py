"""Vision transformers of DINO, MoCo v3 and MAE, all with timm's names."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.converters import base
from keras_ssl.converters.base import Source, dense_kernel
from keras_ssl.core.tracing import prefix_of
from keras_ssl.encoders.tokens import FIXED_POSITIONS
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mae_decoder import MAEDecoder

_MARKER = "patch_embed.proj.weight"
# A classifier or a projection head, on top of the encoder.
_HEADS = (r"head\.", r"fc\.")
_DECODER = (r"decoder_", r"mask_token$")


def dino_vit(
    state_dict: Mapping[str, Any], model: ViT, prefix: str | None = None
) -> base.Report:
    """Fills a ViT from a state dict of DINO's, or of MoCo v3's.

    Every name is audited, all or nothing. Projection heads are left out. Of a full
    checkpoint of DINO's the teacher is taken. Learned positions of another image size
    than the encoder's are interpolated as the reference does.

    Args:
        state_dict: Names and arrays in PyTorch's layout, with any common prefix such
            as `module.backbone.`.
        model: An encoder of the same sizes.
        prefix: What the names begin with; found if None.

    Returns:
        What was done.

    Raises:
        TypeError: If `model` is not a `ViT`.
        ValueError: If a name is missing or unexpected, or a shape is wrong; nothing is
            assigned then.
    """
    if not isinstance(model, ViT):
        raise TypeError(f"model must be a ViT, got {type(model).__name__}.")
    if not model.built:
        model.build(None)
    return base.load(
        state_dict,
        model,
        _encoder(model, offset=0.1),
        ignore=_HEADS,
        marker=_MARKER,
        prefix=prefix,
    )


def mae(
    state_dict: Mapping[str, Any], model: keras.Model, prefix: str | None = None
) -> base.Report:
    """Fills an encoder, or a whole masked autoencoder, from a state dict of MAE's.

    Every name is audited, all or nothing. Into an encoder alone the decoder and a
    classifier are left out. Positions of another image size are interpolated as the
    reference does for fine-tuning.

    Args:
        state_dict: Names and arrays in PyTorch's layout, with any common prefix such
            as `model.`.
        model: A `ViT`, or a built model with a `ViT` as `encoder` and an `MAEDecoder`
            as `decoder`, of the same sizes.
        prefix: What the names begin with; found if None.

    Returns:
        What was done.

    Raises:
        TypeError: If `model` is neither.
        ValueError: If a name is missing or unexpected, or a shape is wrong; nothing is
            assigned then.
    """
    ignore: tuple[str, ...] = _HEADS
    if isinstance(model, ViT):
        if not model.built:
            model.build(None)
        sources = _encoder(model, offset=0.0)
        ignore += _DECODER
    else:
        sources = _whole(model)
    return base.load(
        state_dict,
        model,
        sources,
        ignore=ignore,
        marker=_MARKER,
        prefix=prefix,
    )


def _whole(model: keras.Model) -> dict[str, Source]:
    """Sources of an encoder and a decoder, by their paths in `model`."""
    encoder, decoder = (getattr(model, part, None) for part in ("encoder", "decoder"))
    if not isinstance(encoder, ViT) or not isinstance(decoder, MAEDecoder):
        raise TypeError(
            "model must be a ViT, or have a ViT as encoder and an MAEDecoder as "
            f"decoder; got {type(model).__name__}."
        )
    parts = {
        prefix_of(model, encoder): _encoder(encoder, offset=0.0),
        prefix_of(model, decoder): _decoder(decoder),
    }
    return {
        f"{before}{path}": source
        for before, sources in parts.items()
        for path, source in sources.items()
    }


def _decoder(decoder: MAEDecoder) -> dict[str, Source]:
    side = decoder.image_size // decoder.patch_size
    table = _positions(side, ops.sincos_position_embedding_2d, offset=0.0)
    return {
        "mask_token": Source(("mask_token",)),
        "positions": Source(("decoder_pos_embed",), table),
        **_dense("embed", "decoder_embed"),
        **_blocks(decoder.depth, "decoder_blocks."),
        **_norm("norm", "decoder_norm"),
        **_dense("predict", "decoder_pred"),
    }


def _encoder(vit: ViT, offset: float) -> dict[str, Source]:
    """Sources of all variables of a ViT.

    Args:
        vit: The encoder.
        offset: How the reference interpolates positions; see
            `ops.interpolate_positions`.
    """
    rows, _ = vit.grid(vit.image_size, vit.image_size)
    fixed = FIXED_POSITIONS.get(vit.positions)
    return {
        "class_token": Source(("cls_token",)),
        "positions": Source(("pos_embed",), _positions(rows, fixed, offset)),
        "patches/kernel": Source((_MARKER,), _patch_kernel),
        "patches/bias": Source((_MARKER.replace("weight", "bias"),)),
        **_blocks(vit.depth, "blocks.", vit.qkv_bias),
        **_norm("norm", "norm"),
    }


def _blocks(depth: int, before: str, qkv_bias: bool = True) -> dict[str, Source]:
    """Sources of a stack of transformer blocks.

    Args:
        depth: Number of blocks.
        before: What names in the reference begin with, before the number.
        qkv_bias: Whether queries, keys and values have biases.
    """
    found: dict[str, Source] = {}
    for i in range(depth):
        mine, theirs = f"block{i + 1}", f"{before}{i}"
        found |= _norm(f"{mine}/norm1", f"{theirs}.norm1")
        found |= _dense(f"{mine}/attention/qkv", f"{theirs}.attn.qkv", qkv_bias)
        found |= _dense(f"{mine}/attention/out", f"{theirs}.attn.proj")
        found |= _norm(f"{mine}/norm2", f"{theirs}.norm2")
        found |= _dense(f"{mine}/dense1", f"{theirs}.mlp.fc1")
        found |= _dense(f"{mine}/dense2", f"{theirs}.mlp.fc2")
    return found


def _dense(path: str, name: str, bias: bool = True) -> dict[str, Source]:
    """Sources of a dense layer."""
    found = {f"{path}/kernel": Source((f"{name}.weight",), dense_kernel)}
    return found | ({f"{path}/bias": Source((f"{name}.bias",))} if bias else {})


def _norm(path: str, name: str) -> dict[str, Source]:
    """Sources of a layer norm."""
    return {
        f"{path}/gamma": Source((f"{name}.weight",)),
        f"{path}/beta": Source((f"{name}.bias",)),
    }


def _positions(
    side: int, fixed: Callable[..., tf.Tensor] | None, offset: float
) -> Callable[[np.ndarray], np.ndarray]:
    """How the table of a reference's positions becomes ours.

    Args:
        side: Patches in a row and a column of ours.
        fixed: Makes the table where positions are not learned.
        offset: See `ops.interpolate_positions`.

    Returns:
        Maps `(1, 1 + patches, d)` of any square grid to ours. Raises ValueError if the
        grid is not square, or if its values are not those of `fixed`.
    """

    def transform(table: np.ndarray) -> np.ndarray:
        theirs = math.isqrt(table.shape[1] - 1)
        if fixed is not None:
            exact = fixed(table.shape[-1], theirs, class_token=True)
            if exact.shape != table.shape[1:] or not np.allclose(table, exact, 0, 1e-3):
                raise ValueError(
                    "not the fixed positions that the encoder is made with; give it "
                    "other `positions`, such as 'learned'"
                )
        wide = tf.constant(table, tf.float32)
        return ops.interpolate_positions(
            wide, (theirs, theirs), (side, side), offset
        ).numpy()

    return transform


def _patch_kernel(x: np.ndarray) -> np.ndarray:
    """`(width, c, h, w)` of a convolution to `(h * w * c, width)` of a dense layer."""
    return np.transpose(x, (2, 3, 1, 0)).reshape(-1, len(x))
