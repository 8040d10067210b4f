"""Floor 1: pure loss functions, no state; this module is the public list."""

from keras_ssl.losses.contrastive import nt_xent, nt_xent_accuracy

__all__ = ["nt_xent", "nt_xent_accuracy"]
