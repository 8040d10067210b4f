"""Pure functions of tensors: patches, positions, masks, rotations."""

from keras_ssl.ops.positions import (
    interpolate_positions,
    moco_v3_position_embedding,
    sincos_position_embedding_2d,
)

__all__ = [
    "interpolate_positions",
    "moco_v3_position_embedding",
    "sincos_position_embedding_2d",
]
