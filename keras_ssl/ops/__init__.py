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
from keras_ssl.ops.relative_positions import (
    CLASS_ROWS,
    relative_position_index,
    resize_relative_positions,
)
from keras_ssl.ops.rotations import rotate_quarter
from keras_ssl.ops.windows import (
    from_windows,
    shifted_window_mask,
    window_and_shift,
    windows_of,
)

__all__ = [
    "BLOCK_DRAWS",
    "CLASS_ROWS",
    "DIRECTIONS",
    "attention_pictures",
    "blocks_at_times",
    "blockwise_mask",
    "from_windows",
    "hide_patches",
    "interpolate_positions",
    "moco_v3_position_embedding",
    "overlapping_patches",
    "patchify",
    "random_masking_from_noise",
    "relative_position_index",
    "resize_relative_positions",
    "rotate_quarter",
    "shifted_window_mask",
    "sincos_position_embedding_2d",
    "smallest_set",
    "turned",
    "unpatchify",
    "window_and_shift",
    "windows_of",
]
