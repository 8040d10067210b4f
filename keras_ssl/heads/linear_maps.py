"""A linear layer at each place of an encoder's maps."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.layers.batch_norm import BatchNorm


class LinearMaps(keras.layers.Layer):
    """What 1x1 convolutions make of maps of several sizes, at the finest one's size.

    As if all maps were resized to that, bilinearly, put together and seen by one 1x1
    convolution; but each is first made small, which comes to the same. The maps are
    normalised by channel, without learned scale or shift, each at its own size.

    Args:
        shapes: `(h, w, c)` of each map by its name.
        width: Channels of the result.
        **kwargs: For `keras.layers.Layer`.

    Input: maps by name, `(n, h, w, c)` float32.
    Output shape: `(n, H, W, width)` float32, `H` and `W` the greatest; it starts at 0.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, int, int]], width: int, **kwargs: Any
    ) -> None:
        super().__init__(**{"name": "linear_maps", **kwargs, "dtype": "float32"})
        self.shapes, self.output_width = dict(shapes), width
        self.norms = {
            name: BatchNorm(
                center=False, scale=False, name=f"{name}_norm", dtype="float32"
            )
            for name in shapes
        }
        self.size = tuple(max(s[axis] for s in shapes.values()) for axis in (0, 1))

    def build(self, input_shape: Any = None) -> None:
        del input_shape
        self.kernels = {}
        for name, (h, w, c) in self.shapes.items():
            self.norms[name].build((None, h, w, c))
            self.kernels[name] = self.add_weight(
                shape=(c, self.output_width), initializer="zeros", name=f"{name}_kernel"
            )
        self.bias = self.add_weight(
            shape=(self.output_width,), initializer="zeros", name="bias"
        )

    def call(self, maps: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        total = self.bias
        for name, norm in self.norms.items():
            x = tf.tensordot(norm(maps[name], training=training), self.kernels[name], 1)
            total += tf.image.resize(x, self.size)
        return total
