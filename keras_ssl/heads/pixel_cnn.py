"""A context network over a grid: what lies above, and the row itself."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class PixelCNN(keras.layers.Layer):
    """Residual convolutions that look at a cell's row and the rows above, never below.

    The context network of CPC v2 (https://arxiv.org/abs/1905.09272, appendix): each
    block is a 1x1, a 1x3 and a 2x1 convolution, the last one downward, and a 1x1 one
    back to the width of the latents. A block sees one more row above and one more
    column on either side.

    Args:
        width: Inner channels of a block.
        blocks: Number of blocks, >= 1; as many rows above are seen.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(n, rows, columns, d)`.
    Output shape: the same.

    Raises:
        ValueError: If there is no block.
    """

    def __init__(self, width: int = 256, blocks: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {blocks}.")
        self.width, self.blocks = width, blocks

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        sizes = (((1, 1), self.width), ((1, 3), self.width), ((2, 1), self.width))
        self.convs = [
            [
                keras.layers.Conv2D(
                    width,
                    size,
                    padding="valid" if size == (2, 1) else "same",
                    name=f"block{block + 1}_conv{i + 1}",
                    dtype=self.dtype_policy,
                )
                for i, (size, width) in enumerate((*sizes, ((1, 1), input_shape[-1])))
            ]
            for block in range(self.blocks)
        ]
        for convs in self.convs:
            channels = input_shape[-1]
            for conv in convs:
                # Without a size: Keras would refuse a grid of one row.
                conv.build((None, None, None, channels))
                channels = conv.filters

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for enter, along, down, leave in self.convs:
            inner = along(tf.nn.relu(enter(x)))
            # A row of zeros above: the convolution reaches upward only.
            inner = tf.nn.relu(down(tf.pad(inner, [[0, 0], [1, 0], [0, 0], [0, 0]])))
            x += leave(inner)
        return tf.nn.relu(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "blocks": self.blocks}
