"""Blocks of Swin: Liu et al. 2021, https://arxiv.org/abs/2103.14030."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.layers.biased_block import BiasedBlock


@keras.saving.register_keras_serializable("keras_ssl")
class SwinBlock(BiasedBlock):
    """A transformer block whose tokens look at those of their own window.

    Where it is shifted, windows lie half a window further down and right, and those
    that the border cuts are computed together but do not see each other.

    Args:
        heads: Heads of the attention; divides the width.
        window: Side of a window, tokens. Smaller maps are one window.
        shifted: Whether windows are shifted by half of one.
        **kwargs: For `TransformerBlock`.

    Input shape: `(n, rows, columns, d)`, multiples of the window.
    Output shape: the same.
    """

    def __init__(
        self, heads: int, window: int, shifted: bool = False, **kwargs: Any
    ) -> None:
        options = {"spread": 0.02, **kwargs, "class_token": False}
        super().__init__(heads, (window, window), **options)
        self.side, self.shifted = window, shifted

    def mix(self, x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """The attention's output within windows; biases are the block's own."""
        del bias
        grid = tuple(x.shape[1:3])
        side, shift = ops.window_and_shift(grid, self.side)
        shift *= self.shifted
        own = self.relative.bias((side, side))
        if shift:
            own += ops.shifted_window_mask(grid, side, shift)[:, None]
            x = tf.roll(x, [-shift, -shift], axis=[1, 2])
        x = self.attention(ops.windows_of(x, side), bias=own)
        x = ops.from_windows(x, side, grid)
        return tf.roll(x, [shift, shift], axis=[1, 2]) if shift else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.side, "shifted": self.shifted}
