"""Pure functions of tensors: patches, positions, masks, rotations."""
