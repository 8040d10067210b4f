"""Floor 1: pure loss functions, no state; this module is the public list."""

from keras_ssl.losses.contrastive import nt_xent, nt_xent_accuracy
from keras_ssl.losses.masked import mae, patch_statistics
from keras_ssl.losses.predictive import cpc_accuracy, cpc_info_nce
from keras_ssl.losses.pretext import rotation, rotation_accuracy
from keras_ssl.losses.regression import byol_regression

__all__ = [
    "byol_regression",
    "cpc_accuracy",
    "cpc_info_nce",
    "mae",
    "nt_xent",
    "nt_xent_accuracy",
    "patch_statistics",
    "rotation",
    "rotation_accuracy",
]
