"""Learned biases of attention by offset: Liu et al. 2021, arXiv 2103.14030, eq. 4."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops


@keras.saving.register_keras_serializable("keras_ssl")
class RelativeBias(keras.layers.Layer):
    """A bias of each head for each offset from one patch to another.

    Sources: https://arxiv.org/abs/2103.14030; with a class token
    https://arxiv.org/abs/2106.08254. It is asked by `bias`, not called.

    Args:
        heads: Heads of the attention.
        window: `(rows, columns)` of patches that biases are made for.
        class_token: Whether a class token comes before the patches; it has a bias to
            patches, from patches and to itself.
        spread: Standard deviation that biases start with; 0 in BEiT, 0.02 in Swin.
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If the window has no patches or `heads` is not positive.
    """

    def __init__(
        self,
        heads: int,
        window: tuple[int, int],
        class_token: bool = False,
        spread: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "relative_bias", **kwargs})
        if heads < 1:
            raise ValueError(f"heads must be at least 1, got {heads}.")
        self.heads, self.window = heads, (window[0], window[1])
        self.class_token, self.spread = class_token, spread
        self._count = int(ops.relative_position_index(window, class_token).max()) + 1

    def build(self, input_shape: Any = None) -> None:
        del input_shape  # Biases come from no input.
        self.table = self.add_weight(
            name="table",
            shape=(self._count, self.heads),
            initializer=keras.initializers.RandomNormal(stddev=self.spread)
            if self.spread
            else "zeros",
            autocast=False,
        )

    def bias(self, window: tuple[int, int] | None = None) -> tf.Tensor:
        """What is added to the scores of attention.

        Args:
            window: `(rows, columns)` of patches; its own if None. Of other ones biases
                are those that `ops.resize_relative_positions` gives.

        Returns:
            `(1, heads, l, l)` float32, the token that looks first.
        """
        if not self.built:
            self.build()
        asked = self.window if window is None else window
        table = tf.convert_to_tensor(self.table)
        table = ops.resize_relative_positions(
            table, self.window, asked, self.class_token
        )
        index = ops.relative_position_index(asked, self.class_token)
        # Along the last axis: along the first the gradient would be sparse.
        return tf.gather(tf.transpose(table), index, axis=1)[None]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "window": self.window,
            "class_token": self.class_token,
            "spread": self.spread,
        }
