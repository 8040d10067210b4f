"""An encoder with a part of its projector: SimCLRv2's way to fine-tune.

Chen et al. 2020, https://arxiv.org/abs/2006.10029, section 2.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import registry
from keras_ssl.core.registry import register


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class ProjectedEncoder(keras.Model):
    """Maps `(n, h, w, 3)` images in [0, 1] to what a head makes of their features.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: A registered head that maps these to `(n, feature_dim)` and says
            so by its `output_width`, such as the first layers of an MLP (`MLP.first`).
        **kwargs: `name`, `dtype` and the like, for `keras.Model`.
    """

    def __init__(
        self, encoder: keras.Model, projector: keras.layers.Layer, **kwargs: Any
    ) -> None:
        # The encoder takes images as they are.
        super().__init__(autocast=False, **{"name": "projected_encoder", **kwargs})
        self.encoder, self.projector = encoder, projector
        self.feature_dim = int(projector.output_width)

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """The encoder's own maps by stage, which no projector has seen."""
        return self.encoder.maps(images, training=training)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        features = self.encoder(images, training=training)
        return tf.cast(self.projector(features, training=training), tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "encoder": part_record(self.encoder),
            "projector": part_record(self.projector),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ProjectedEncoder":
        """Makes both parts anew; `dtype`, if there is one, goes to both."""
        given = dict(config)
        policy = {"dtype": given["dtype"]} if "dtype" in given else {}
        parts = {}
        for name, kind in (("encoder", "encoder"), ("projector", "head")):
            made: Any = registry.get(kind, given[name]["name"])
            parts[name] = made.from_config({**given[name]["config"], **policy})
        return cls(**{**given, **parts})


def part_record(part: keras.layers.Layer) -> dict[str, Any]:
    """What a registered part is made from anew: its registered name and config."""
    return {"name": registry.name_of(part), "config": part.get_config()}
