"""LeNet: LeCun et al. 1998, https://doi.org/10.1109/5.726791, as DrLIM has it."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class LeNet(Encoder):
    """Two convolutions with an averaging between them, and a linear map of few numbers.

    The defaults are the net of DrLIM's digits: 15 maps of 6x6, averages of 3x3, 30 maps
    of 9x9, two numbers. Images of 32 px leave the second convolution as one pixel each;
    larger ones are averaged over places. The averaging has no weights here and tanh
    follows each convolution, which the paper leaves open.

    Args:
        widths: Maps of the two convolutions.
        kernels: Their sides in pixels.
        pool: Side and stride of the averaging.
        outputs: Numbers that an image is mapped to.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If there are not two widths and kernels, or one is not positive.
    """

    def __init__(
        self,
        widths: Sequence[int] = (15, 30),
        kernels: Sequence[int] = (6, 9),
        pool: int = 3,
        outputs: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "lenet", **kwargs})
        if len(widths) != 2 or len(kernels) != 2:
            raise ValueError(
                "LeNet needs two widths and two kernels, one for each convolution; got "
                f"{tuple(widths)} and {tuple(kernels)}."
            )
        if min(*widths, *kernels, pool, outputs) < 1:
            raise ValueError(
                "widths, kernels, pool and outputs must be at least 1, got "
                f"{tuple(widths)}, {tuple(kernels)}, {pool} and {outputs}."
            )
        self.widths, self.kernels = tuple(widths), tuple(kernels)
        self.pool, self.feature_dim = pool, outputs
        self.convolutions = [
            keras.layers.Conv2D(
                width, size, activation="tanh", name=name, dtype=self.dtype_policy
            )
            for width, size, name in zip(
                widths, kernels, ("conv1", "conv2"), strict=True
            )
        ]
        self.linear = keras.layers.Dense(outputs, name="linear", dtype="float32")

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Outputs of the two convolutions, in order."""
        del training
        least = (self.kernels[1] - 1) * self.pool + self.pool + self.kernels[0] - 1
        if min(images.shape[1] or least, images.shape[2] or least) < least:
            raise ValueError(
                f"{self.name} needs images of at least {least} px, got shape "
                f"{images.shape}. Enlarge them, or take smaller kernels."
            )
        first = self.convolutions[0](self.normalize(images))
        averaged = tf.nn.avg_pool2d(first, self.pool, self.pool, "VALID")
        return {"stage1": first, "stage2": self.convolutions[1](averaged)}

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.linear(super().call(images, training=training))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "widths": self.widths,
            "kernels": self.kernels,
            "pool": self.pool,
            "outputs": self.feature_dim,
        }
