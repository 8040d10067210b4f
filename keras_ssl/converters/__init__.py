"""Weights from the checkpoints that the papers released: the public list.

A converter is called with a reference's state dict and a model of ours:
`torchvision_resnet({"conv1.weight": array, ...}, model)`.
"""

from keras_ssl.converters.resnet import simclr_resnet, torchvision_resnet
from keras_ssl.converters.vit import dino_vit, mae

__all__ = ["dino_vit", "mae", "simclr_resnet", "torchvision_resnet"]
