"""Vision transformers of DINO, MoCo v3 and MAE, all with timm's names."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_ssl import ops
from keras_ssl.converters import base, names
from keras_ssl.converters.base import Source
from keras_ssl.core.tracing import prefix_of
from keras_ssl.encoders.tokens import FIXED_POSITIONS
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mae_decoder import MAEDecoder

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
        ignore=names.HEADS,
        marker=names.MARKER,
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
    ignore: tuple[str, ...] = names.HEADS
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
        marker=names.MARKER,
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
    return {
        **names.within(prefix_of(model, encoder), _encoder(encoder, offset=0.0)),
        **names.within(prefix_of(model, decoder), _decoder(decoder)),
    }


def _decoder(decoder: MAEDecoder) -> dict[str, Source]:
    side = decoder.image_size // decoder.patch_size
    table = names.positions(side, ops.sincos_position_embedding_2d, offset=0.0)
    return {
        "mask_token": Source(("mask_token",)),
        "positions": Source(("decoder_pos_embed",), table),
        **names.dense("embed", "decoder_embed"),
        **names.blocks(decoder.depth, "decoder_blocks."),
        **names.norm("norm", "decoder_norm"),
        **names.dense("predict", "decoder_pred"),
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
        "positions": Source(("pos_embed",), names.positions(rows, fixed, offset)),
        **names.patches(),
        **names.blocks(vit.depth, "blocks.", vit.qkv_bias),
        **names.norm("norm", "norm"),
    }
