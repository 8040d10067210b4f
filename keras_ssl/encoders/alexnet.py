"""AlexNet: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386, with batch norm."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.batch_norm import BatchNorm

_KERNELS = (11, 5, 3, 3, 3)
_HIDDEN = 4096
# Side of conv5's pooled maps that the linear layers see.
_SIDE = 6
_SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class AlexNet(Encoder):
    """Five convolutions, each with bias, batch norm and ReLU, and two linear layers.

    The defaults are RotNet's net (gidariss/FeatureLearningRotNet
    architectures/AlexNet.py). DeepCluster's (facebookresearch/deepcluster
    models/alexnet.py) has other widths, sees Sobel's gradients and has no norm between
    its linear layers. The dropout of those is left out.

    Args:
        widths: Channels of the five convolutions.
        sobel: Whether the net sees two gradients of the grey image, not its colours.
        linear: Whether the two linear layers of 4,096 units follow; the features are
            the second one's after ReLU, else conv5's average over places.
        linear_norm: Whether they have batch norm in place of biases.
        stride: Of the first convolution: 4 for images of 224 px, 1 for those of 32.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If there are not five positive widths, or `stride` is not positive.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 192, 384, 256, 256),
        sobel: bool = False,
        linear: bool = False,
        linear_norm: bool = True,
        stride: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "alexnet", **kwargs})
        checks.positive(stride=stride)
        if len(widths) != len(_KERNELS) or min(widths) < 1:
            raise ValueError(
                "AlexNet needs five widths, one for each convolution, each at least 1; "
                f"got {tuple(widths)}."
            )
        self.widths, self.sobel, self.stride = tuple(widths), sobel, stride
        self.linear, self.linear_norm = linear, linear_norm
        self.feature_dim = _HIDDEN if linear else widths[-1]
        policy = {"dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(
                width,
                size,
                stride if i == 0 else 1,
                kernel_initializer="he_normal",
                name=f"conv{i + 1}",
                **policy,
            )
            for i, (width, size) in enumerate(zip(widths, _KERNELS, strict=True))
        ]
        self.norms = [
            BatchNorm(name=f"norm{i + 1}", **policy) for i in range(len(widths))
        ]
        self.dense = [
            keras.layers.Dense(
                _HIDDEN,
                use_bias=not linear_norm,
                kernel_initializer="he_normal",
                name=name,
                **policy,
            )
            for name in ("fc6", "fc7")
            if linear
        ]
        self.dense_norms = [
            BatchNorm(name=f"{layer.name}_norm", **policy)
            for layer in self.dense
            if linear_norm
        ]

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Outputs of the convolutions after ReLU, before they are pooled.

        `{"conv1": (n, h, w, c), ..., "conv5": ...}`.

        Raises:
            ValueError: If images are too small to be pooled three times.
        """
        least = 14 * self.stride + 7
        if min(images.shape[1] or least, images.shape[2] or least) < least:
            raise ValueError(
                f"{self.name} needs images of at least {least} px, got shape "
                f"{images.shape}. Enlarge them, or take a smaller stride, such as 1 "
                "for 32 px."
            )
        x = self.normalize(images)
        x = _gradients(x) if self.sobel else x
        found = {}
        for i, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            # The reference pads the first one's sides by 2, which keeps no size.
            side = 2 if i == 0 else _KERNELS[i] // 2
            x = tf.pad(x, [[0, 0], [side, side], [side, side], [0, 0]])
            x = tf.nn.relu(norm(convolution(x), training=training))
            found[convolution.name] = x
            x = _pooled(x) if i < 2 else x
        return found

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not self.linear:
            return super().call(images, training=training)
        last = _pooled(self.maps(images, training=training)["conv5"])
        if last.shape[1:3] != (_SIDE, _SIDE):
            raise ValueError(
                f"The linear layers of {self.name} see maps of {_SIDE}x{_SIDE}, as "
                f"images of 224 px have them at stride 4; got {last.shape}. Take such "
                "images, or linear=False."
            )
        # By channel, then by place, as the reference has it.
        x = tf.reshape(tf.transpose(last, [0, 3, 1, 2]), [-1, _SIDE**2 * last.shape[3]])
        for i, layer in enumerate(self.dense):
            x = layer(x)
            if self.linear_norm:
                x = self.dense_norms[i](x, training=training)
            x = tf.nn.relu(x)
        return tf.cast(x, tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "widths": self.widths,
            "sobel": self.sobel,
            "linear": self.linear,
            "linear_norm": self.linear_norm,
            "stride": self.stride,
        }


def _pooled(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 3, 2, "VALID")


def _gradients(x: tf.Tensor) -> tf.Tensor:
    """Sobel's gradients `(n, h, w, 2)` of the mean of the channels, x first."""
    across = np.asarray(_SOBEL, np.float32)
    kernel = tf.constant(np.stack([across, across.T], -1)[:, :, None], x.dtype)
    grey = tf.reduce_mean(x, axis=-1, keepdims=True)
    return tf.nn.conv2d(grey, kernel, 1, "SAME")
