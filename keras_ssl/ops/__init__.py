"""Pure functions of tensors: patches, positions, masks, rotations."""

from keras_ssl.ops.masks import random_masking_from_noise
from keras_ssl.ops.patches import patchify, unpatchify
from keras_ssl.ops.rotations import rotate_quarter

__all__ = ["patchify", "random_masking_from_noise", "rotate_quarter", "unpatchify"]
