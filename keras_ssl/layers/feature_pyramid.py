"""A feature pyramid: Lin et al. 2016, https://arxiv.org/abs/1612.03144."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class FeaturePyramid(keras.layers.Layer):
    """Levels of one width, the finer ones told by the coarser.

    As in RetinaNet (https://arxiv.org/abs/1708.02002, section 4): coarser levels than
    those given are made from the last of them by 3x3 convolutions of stride 2.

    Args:
        width: Channels of every level.
        levels: Number of levels, at least as many as are given.
        seed: Of the kernels.

    Input shape: a dict, in order, of maps `(n, h, w, c)`, each with half as many rows
        and columns as the one before, rounded up.
    Output shape: a list of `levels` maps `(n, h, w, width)`, of which each has half as
        many rows and columns as the one before, rounded up.
    """

    def __init__(self, width: int, levels: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.levels, self.seed = width, levels, seed
        self.across: list[keras.layers.Conv2D] = []
        self.out: list[keras.layers.Conv2D] = []
        self.down: list[keras.layers.Conv2D] = []

    def build(self, input_shape: dict[str, tuple[int | None, ...]]) -> None:
        random = np.random.default_rng(self.seed)

        def made(size: int, channels: int | None, strides: int = 1) -> Any:
            start = keras.initializers.GlorotUniform(int(random.integers(2**31)))
            policy = self.dtype_policy
            conv = keras.layers.Conv2D(
                self.width,
                size,
                strides,
                padding="same",
                kernel_initializer=start,
                dtype=policy,
            )
            conv.build((None, None, None, channels))
            return conv

        channels = [shape[-1] for shape in input_shape.values()]
        self.across = [made(1, c) for c in channels]
        self.out = [made(3, self.width) for _ in channels]
        more = self.levels - len(channels)
        self.down = [made(3, self.width if i else channels[-1], 2) for i in range(more)]

    def call(self, maps: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        *finer, last = (f(x) for f, x in zip(self.across, maps.values(), strict=True))
        merged = [last]
        for x in finer[::-1]:
            doubled = tf.repeat(tf.repeat(merged[0], 2, axis=1), 2, axis=2)
            merged.insert(0, x + doubled[:, : x.shape[1], : x.shape[2]])
        levels = [f(x) for f, x in zip(self.out, merged, strict=True)]
        x = list(maps.values())[-1]
        for i, down in enumerate(self.down):
            x = down(tf.nn.relu(x) if i else x)
            levels.append(x)
        return levels
