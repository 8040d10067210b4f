"""From contexts to the latents that come later (CPC, section 2.3)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_ssl")
class PredictAhead(keras.layers.Layer):
    """A linear map without bias for each distance, from contexts to later targets.

    Args:
        width: Width of the targets.
        distances: How many rows ahead each map predicts, each positive.
        positions: How many of the real pairs of an example are taken, those of the
            greatest noise first; all where None.
        **kwargs: For `keras.layers.Layer`.

    Call arguments:
        contexts: `(n, rows, columns, c)`.
        targets: `(n, rows, columns, width)`.
        valid: `(n, rows, columns)` float32, 1 where real and 0 where padding; within
            a column what is real comes first.
        noise: `(n, distances, rows * columns)` in [0, 1).

    Returns:
        For each distance predictions and targets `(n, m, width)` and what is valid of
        them `(n, m)`, `m` being at most `positions`.

    Raises:
        ValueError: If a distance is not within the rows.
    """

    def __init__(
        self,
        width: int,
        distances: Sequence[int],
        positions: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Not the compute dtype's affair which pairs are drawn.
        super().__init__(autocast=False, **kwargs)
        self.width, self.positions = width, positions
        self.distances = tuple(distances)
        self.maps = [
            keras.layers.Dense(
                width, use_bias=False, name=f"ahead{k}", dtype=self.dtype_policy
            )
            for k in self.distances
        ]

    def build(self, input_shape: tuple[int, ...]) -> None:
        if max(self.distances) >= input_shape[1]:
            raise ValueError(
                f"With {input_shape[1]} rows or frames none is {max(self.distances)} "
                "after another. Predict fewer steps, or give larger views or a smaller "
                "stride."
            )
        for layer in self.maps:
            layer.build((None, None, input_shape[-1]))

    def call(
        self,
        contexts: tf.Tensor,
        targets: tf.Tensor,
        valid: tf.Tensor,
        noise: tf.Tensor,
    ) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        found = []
        for i, (k, layer) in enumerate(zip(self.distances, self.maps, strict=True)):
            # Where a target is real its context is: it comes earlier.
            c, y, real = (
                _listed(x)
                for x in (_rows(contexts, 0, -k), _rows(targets, k), _rows(valid, k))
            )
            if self.positions is not None and self.positions < c.shape[1]:
                order = noise[:, i, : c.shape[1]] + real
                chosen = tf.math.top_k(order, self.positions).indices
                c, y, real = (
                    tf.gather(x, chosen, axis=1, batch_dims=1) for x in (c, y, real)
                )
            found.append((layer(c), y, real))
        return found

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "distances": self.distances,
            "positions": self.positions,
        }


def _rows(x: tf.Tensor, first: int, last: int = 0) -> tf.Tensor:
    """Rows from `first` on, without `-last` at the end."""
    start = [0, first] + [0] * (len(x.shape) - 2)
    size = [-1, x.shape[1] + last - first] + [-1] * (len(x.shape) - 2)
    # The gradient of tf.slice is a pad, that of x[:, first:] a scatter.
    return tf.slice(x, start, size)


def _listed(x: tf.Tensor) -> tf.Tensor:
    """`(n, rows, columns, ...)` to `(n, rows * columns, ...)`."""
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2], *x.shape[3:]])
