"""Floor 1: optimizers and which variables decay; this module is the public list."""

from keras_ssl.optimizers.adamw import AdamW
from keras_ssl.optimizers.lamb import LAMB
from keras_ssl.optimizers.lars import LARS
from keras_ssl.optimizers.sgd import SGD

__all__ = ["LAMB", "LARS", "SGD", "AdamW"]
