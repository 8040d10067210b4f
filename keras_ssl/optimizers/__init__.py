"""Floor 1: optimizers and which variables decay; this module is the public list."""

from keras_ssl.optimizers.adamw import AdamW
from keras_ssl.optimizers.lars import LARS
from keras_ssl.optimizers.sgd import SGD

__all__ = ["LARS", "SGD", "AdamW"]
