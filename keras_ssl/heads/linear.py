"""One linear layer: what turns features into the logits of classes."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class Linear(keras.layers.Layer):
    """Logits of classes, in float32; it starts at zero, as SimCLR's fine-tuning does.

    google-research/simclr tf2/model.py, `SupervisedHead`.

    Args:
        width: Number of classes.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(n, d)`.
    Output shape: `(n, width)` float32.

    Raises:
        ValueError: If `width` is not positive.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}.")
        # Whatever computed the features: losses and their logits are float32.
        super().__init__(**{"name": "linear", **kwargs, "dtype": "float32"})
        self.output_width = width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1], self.output_width)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=shape[1:], initializer="zeros", name="bias")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        del training
        return tf.matmul(tf.cast(x, tf.float32), self.kernel) + self.bias

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.output_width}
