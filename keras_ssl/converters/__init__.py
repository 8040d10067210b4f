"""Weights from the checkpoints that the papers released."""
