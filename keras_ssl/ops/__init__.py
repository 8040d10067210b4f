"""Pure functions of tensors: patches, positions, masks, rotations and the like."""

from keras_ssl.ops.attention import attention_pictures, smallest_set
from keras_ssl.ops.directions import DIRECTIONS, turned
from keras_ssl.ops.masks import (
    BLOCK_DRAWS,
    blocks_at_times,
    blockwise_mask,
    random_masking_from_noise,
)
from keras_ssl.ops.patches import (
    hide_patches,
    overlapping_patches,
    patchify,
    unpatchify,
)
from keras_ssl.ops.positions import (
    interpolate_positions,
    moco_v3_position_embedding,
    sincos_position_embedding_2d,
)
from keras_ssl.ops.rotations import rotate_quarter

__all__ = [
    "BLOCK_DRAWS",
    "DIRECTIONS",
    "attention_pictures",
    "blocks_at_times",
    "blockwise_mask",
    "hide_patches",
    "interpolate_positions",
    "moco_v3_position_embedding",
    "overlapping_patches",
    "patchify",
    "random_masking_from_noise",
    "rotate_quarter",
    "sincos_position_embedding_2d",
    "smallest_set",
    "turned",
    "unpatchify",
]
