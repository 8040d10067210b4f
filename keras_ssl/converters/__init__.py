"""Weights from the checkpoints that the papers released: the public list.

A converter is called with a reference's state dict and a model of ours:
`torchvision_resnet({"conv1.weight": array, ...}, model)`.
"""

from keras_ssl.converters.base import Report
from keras_ssl.converters.beit import beit
from keras_ssl.converters.resnet import simclr_resnet, torchvision_resnet
from keras_ssl.converters.swin import swin
from keras_ssl.converters.vit import dino_vit, mae

# By the name that `tools/convert.py` takes.
CONVERTERS = {
    f.__name__: f
    for f in (beit, dino_vit, mae, simclr_resnet, swin, torchvision_resnet)
}

__all__ = [
    "CONVERTERS",
    "Report",
    "beit",
    "dino_vit",
    "mae",
    "simclr_resnet",
    "swin",
    "torchvision_resnet",
]
