"""Class vectors that are learned: SwAV's prototypes."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class Prototypes(keras.layers.Layer):
    """Cosines of features with vectors of unit length.

    The vectors are scaled back to unit length after each update, outside the gradient,
    where facebookresearch/swav does so before each forward pass.

    Args:
        count: Number of prototypes.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(..., d)`.
    Output shape: `(..., count)`, in [-1, 1].

    Raises:
        ValueError: If `count` is less than 2.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if count < 2:
            raise ValueError(f"There must be at least 2 prototypes, got {count}.")
        self.count = count

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        unit = keras.constraints.UnitNorm(axis=0)
        draw = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.count),
            initializer=lambda shape, dtype=None: unit(draw(shape, dtype=dtype)),
            constraint=unit,
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.math.l2_normalize(tf.cast(x, tf.float32), axis=-1)
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.matmul(tf.cast(x, kernel.dtype), kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}
