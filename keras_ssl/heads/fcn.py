"""A small fully convolutional head: Long et al. 2015, as BYOL and MoCo have it.

https://arxiv.org/abs/1411.4038, figure 3, for the skips; for the rest
https://arxiv.org/abs/2006.07733, appendix on semantic segmentation: two 3x3
convolutions of 256 channels with batch norm and ReLU, and a 1x1.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.heads.linear_maps import LinearMaps
from keras_ssl.layers.batch_norm import BatchNorm


class FCNHead(keras.layers.Layer):
    """Logits of classes at each place of an encoder's maps.

    The convolutions see the last map. What 1x1 convolutions say of those before it, if
    there are any, is added: the skips of FCN-8s.

    Args:
        shapes: `(h, w, c)` of each map by its name, in the encoder's order.
        classes: Channels of the result.
        width: Of the two convolutions.
        dilation: Of the same, at least 1; 6 in BYOL and MoCo, on maps of stride 8 or
            16.
        seed: Of their weights.
        **kwargs: For `keras.layers.Layer`.

    Input: maps by name, `(n, h, w, c)` float32.
    Output shape: `(n, H, W, classes)` float32, `H` and `W` the greatest; it starts
    at 0.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int, int]],
        classes: int,
        width: int = 256,
        dilation: int = 1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "fcn", **kwargs, "dtype": "float32"})
        before = dict(shapes)
        self.seen, self.shape = before.popitem()
        self.skips = LinearMaps(before, classes, name="skips") if before else None
        self.size = tuple(max(s[axis] for s in shapes.values()) for axis in (0, 1))
        self.convolutions = [
            keras.layers.Conv2D(
                width,
                3,
                padding="same",
                dilation_rate=dilation,
                use_bias=False,
                kernel_initializer=keras.initializers.VarianceScaling(
                    2.0, "fan_out", seed=seed + i
                ),
                name=f"conv{i + 1}",
                dtype="float32",
            )
            for i in range(2)
        ]
        self.norms = [BatchNorm(name=f"norm{i + 1}", dtype="float32") for i in range(2)]
        self.last = keras.layers.Conv2D(
            classes, 1, kernel_initializer="zeros", name="last", dtype="float32"
        )

    def build(self, input_shape: Any = None) -> None:
        del input_shape
        *size, channels = self.shape
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build((None, *size, channels))
            channels = convolution.filters
            norm.build((None, *size, channels))
        self.last.build((None, *size, channels))
        if self.skips is not None:
            self.skips.build()

    def call(self, maps: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        x = maps[self.seen]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = tf.nn.relu(norm(convolution(x), training=training))
        logits = tf.image.resize(self.last(x), self.size)
        if self.skips is not None:
            skipped = self.skips(maps, training=training)
            logits += tf.image.resize(skipped, self.size)
        return logits
