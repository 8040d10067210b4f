"""Semantic segmentation by a linear layer at each place of frozen maps.

As DINOv2's linear evaluation (https://arxiv.org/abs/2304.07193, section 7.4), with all
layers' maps.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.data.dense_training import Placing
from keras_ssl.evaluation import maps, masks
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.dense_fit import DenseFit, predictions
from keras_ssl.evaluation.per_image import Outcome, PerImage
from keras_ssl.heads.linear_maps import LinearMaps


@register("evaluation", "segmentation")
@dataclasses.dataclass(frozen=True)
class Segmentation(PerImage):
    """Mean IoU of a 1x1 convolution on the encoder's maps, which stay as they are.

    Maps are normalised by channel, resized to the finest one, bilinearly, and put
    together; see `heads.linear_maps`. Logits are resized to the truth's size, in
    training that of the stretched image, in scoring its own.

    Args:
        layers: Names of the encoder's layers; all if None.
        steps: Training steps.
        batch_size: Images in a batch; at most as many as there are.
        rate: Learning rate at the first step, from where it falls by a cosine.
        weight_decay: Factor of the weights added to their gradients.
        scale: Least and greatest factor of an image's size in training.
        seed: Of the order of images, and which ones are mirrored.

    Raises:
        ValueError: If a number is out of range.
    """

    score: ClassVar[str] = "miou"
    truth: ClassVar[str] = "mask"
    layers: Sequence[str] | None = None
    steps: int = 500
    batch_size: int = 16
    rate: float = 0.1
    weight_decay: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        self._fit()

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `miou` and what else `masks.scores` has.

        Raises:
            ValueError: If there are no masks, or the encoder has no such maps.
        """
        what = "Segmentation"
        model = maps.with_maps(encode, what, data.train.kind)
        shapes = maps.chosen(model, data.size, self.layers, what)
        known = masks.classes(data, what)
        read = maps.maps(model, list(shapes))
        head = LinearMaps(shapes, len(known.names))
        head.build()

        def predict(images: tf.Tensor, training: bool) -> tf.Tensor:
            return head(read(images), training=training)

        trained = head.trainable_variables
        self._fit()(predict, trained, masks.cross_entropy, data, "mask")
        return masks.outcome(predictions(predict, data, "mask", masks.said), known)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            **self._fit().protocol(),
            "layers": "all" if self.layers is None else list(self.layers),
            "features": "maps normalised by channel, resized bilinearly to the finest",
            "classifier": "linear at each place, cross entropy",
        }

    def _fit(self) -> DenseFit:
        return DenseFit(
            "segmentation",
            self.steps,
            self.batch_size,
            self.rate,
            self.weight_decay,
            Placing(self.scale),
            self.seed,
        )
