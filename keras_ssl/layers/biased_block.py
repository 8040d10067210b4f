"""A transformer block with a relative position bias: arXiv 2106.08254, 2103.14030."""

from typing import Any

import keras

from keras_ssl.layers.relative_bias import RelativeBias
from keras_ssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable("keras_ssl")
class BiasedBlock(TransformerBlock):
    """A `TransformerBlock` that holds a bias of attention; `relative.bias` gives it.

    Args:
        heads: Heads of the attention; divides the width.
        window: `(rows, columns)` of patches that biases are made for.
        class_token: Whether a class token comes before the patches.
        spread: Standard deviation that biases start with.
        **kwargs: For `TransformerBlock`.

    Input shape: `(n, l, d)`.
    Output shape: the same.
    """

    def __init__(
        self,
        heads: int,
        window: tuple[int, int],
        class_token: bool = True,
        spread: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(heads, **kwargs)
        self.relative = RelativeBias(
            heads, window, class_token, spread, dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.relative.build()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "window": self.relative.window,
            "class_token": self.relative.class_token,
            "spread": self.relative.spread,
        }
