"""Floor 1: pure loss functions, no state; this module is the public list."""

from keras_ssl.losses.contrastive import (
    nt_xent,
    nt_xent_accuracy,
    nt_xent_with_accuracy,
)
from keras_ssl.losses.in_batch import moco_v3, moco_v3_with_accuracy
from keras_ssl.losses.margin import contrastive_pair, pair_distances
from keras_ssl.losses.masked import mae, patch_statistics
from keras_ssl.losses.noise import nce
from keras_ssl.losses.pairs import dissimilar_pairs
from keras_ssl.losses.predictive import cpc_accuracy, cpc_info_nce
from keras_ssl.losses.pretext import rotation, rotation_accuracy
from keras_ssl.losses.prototypes import (
    deepcluster_v2,
    msn,
    swapped_prediction,
    swav,
    swav_multicrop,
)
from keras_ssl.losses.queued import (
    densecl,
    info_nce,
    info_nce_accuracy,
    info_nce_with_accuracy,
    nnclr,
    ressl,
)
from keras_ssl.losses.redundancy import (
    barlow_twins,
    correlation_loss,
    correlation_means,
    cross_correlation,
    vicreg,
)
from keras_ssl.losses.regression import byol_regression, simsiam
from keras_ssl.losses.soft_targets import (
    dino,
    distillation,
    ibot,
    ibot_patch,
    teacher_entropy,
    update_center,
)
from keras_ssl.losses.spread import koleo
from keras_ssl.losses.transport import prototype_usage, sinkhorn
from keras_ssl.losses.whitening import wmse

__all__ = [
    "barlow_twins",
    "byol_regression",
    "contrastive_pair",
    "correlation_loss",
    "correlation_means",
    "cpc_accuracy",
    "cpc_info_nce",
    "cross_correlation",
    "deepcluster_v2",
    "densecl",
    "dino",
    "dissimilar_pairs",
    "distillation",
    "ibot",
    "ibot_patch",
    "info_nce",
    "info_nce_accuracy",
    "info_nce_with_accuracy",
    "koleo",
    "mae",
    "moco_v3",
    "moco_v3_with_accuracy",
    "msn",
    "nce",
    "nnclr",
    "nt_xent",
    "nt_xent_accuracy",
    "nt_xent_with_accuracy",
    "pair_distances",
    "patch_statistics",
    "prototype_usage",
    "ressl",
    "rotation",
    "rotation_accuracy",
    "simsiam",
    "sinkhorn",
    "swapped_prediction",
    "swav",
    "swav_multicrop",
    "teacher_entropy",
    "update_center",
    "vicreg",
    "wmse",
]
