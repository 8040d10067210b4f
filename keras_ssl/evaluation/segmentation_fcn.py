"""Semantic segmentation by a small FCN that is trained with the encoder.

As BYOL's (https://arxiv.org/abs/2006.07733, appendix on semantic segmentation) and
MoCo's, but the encoder's last stage is not dilated: that its maps are small is made up
for by skips from the stages before, as in FCN-8s (https://arxiv.org/abs/1411.4038).
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
from keras_ssl.evaluation.fine_tune import copied
from keras_ssl.evaluation.per_image import Outcome, PerImage
from keras_ssl.heads.fcn import FCNHead


@register("evaluation", "segmentation_fcn")
@dataclasses.dataclass(frozen=True)
class SegmentationFCN(PerImage):
    """Mean IoU after the encoder was trained on masks, from its weights on.

    A copy is trained: what is scored stays as it is.

    Args:
        layers: Names of the encoder's layers; all if None. The FCN sees the maps of
            the last one; what a 1x1 convolution says of each of the others is added.
        width: Channels of its two 3x3 convolutions.
        dilation: Of these.
        steps: Training steps.
        batch_size: Images in a batch; at most as many as there are.
        rate: Learning rate at the first step, from where it falls by a cosine.
        weight_decay: Factor of the kernels added to their gradients.
        scale: Least and greatest factor of an image's size in training; above 1 a part
            is cut out, below it grey is put around, which does not count.
        seed: Of new weights, the order of images, and what is drawn of them.

    Raises:
        ValueError: If a number is out of range.
    """

    score: ClassVar[str] = "miou"
    truth: ClassVar[str] = "mask"
    layers: Sequence[str] | None = None
    width: int = 256
    dilation: int = 1
    steps: int = 300
    batch_size: int = 16
    rate: float = 0.1
    weight_decay: float = 1e-4
    scale: tuple[float, float] = (0.5, 2.0)
    seed: int = 0

    def __post_init__(self) -> None:
        self._fit()
        if min(self.width, self.dilation) < 1:
            raise ValueError(
                "width and dilation must be at least 1, got "
                f"{self.width} and {self.dilation}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `miou` and what else `masks.scores` has.

        Raises:
            ValueError: If there are no masks, or the encoder has no such maps.
        """
        what = "Segmentation by an FCN"
        model = maps.with_maps(encode, what, data.train.kind)
        shapes = maps.chosen(model, data.size, self.layers, what)
        known = masks.classes(data, what)
        encoder = copied(model, data.size)
        head = FCNHead(shapes, len(known.names), self.width, self.dilation, self.seed)
        head.build()

        def predict(images: tf.Tensor, training: bool) -> tf.Tensor:
            found = maps.maps(encoder, list(shapes), training)(images)
            return head(found, training=training)

        trained = [*encoder.trainable_variables, *head.trainable_variables]
        self._fit()(predict, trained, masks.cross_entropy, data, "mask")
        return masks.outcome(predictions(predict, data, "mask", masks.said), known)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            **self._fit().protocol(),
            "layers": "all" if self.layers is None else list(self.layers),
            "features": "maps of the encoder, trained too, its last stage not dilated",
            "classifier": "FCN of two 3x3 convolutions with skips, cross entropy",
            "width": self.width,
            "dilation": self.dilation,
        }

    def _fit(self) -> DenseFit:
        return DenseFit(
            "segmentation_fcn",
            self.steps,
            self.batch_size,
            self.rate,
            self.weight_decay,
            Placing(self.scale),
            self.seed,
        )
