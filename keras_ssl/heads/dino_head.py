"""DINO's projector: Caron et al. 2021, https://arxiv.org/abs/2104.14294."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.layers.batch_norm import BatchNorm
from keras_ssl.layers.gelu import gelu


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class DINOHead(keras.layers.Layer):
    """Dense layers with GELU, a normalised bottleneck, and vectors of unit length.

    As facebookresearch/dino vision_transformer.py: the last layer is weight-normalised
    and has no bias. Kernels start as truncated normals of deviation 0.02.

    Args:
        outputs: Number of logits; 65536 in the paper, 8192 in iBOT.
        widths: Of the hidden layers, the bottleneck last.
        norm: Whether a batch norm follows each hidden layer (DINO with ResNets).
        norm_last_layer: Whether the lengths of the last layer's vectors stay 1, which
            is more stable; otherwise they are learned.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(..., d)`.
    Output shape: `(..., outputs)`.

    Raises:
        ValueError: If there are less than 2 outputs or no bottleneck.
    """

    def __init__(
        self,
        outputs: int,
        widths: Sequence[int] = (2048, 2048, 256),
        norm: bool = False,
        norm_last_layer: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if outputs < 2 or not widths:
            raise ValueError(
                "DINOHead needs at least 2 outputs and a bottleneck, such as "
                f"widths=(2048, 2048, 256); got outputs={outputs}, widths={widths}."
            )
        self.outputs, self.widths = outputs, tuple(widths)
        self.norm, self.norm_last_layer = norm, norm_last_layer
        self.dense = [
            keras.layers.Dense(
                width,
                # A norm would take off what a bias adds.
                use_bias=not norm or i == len(self.widths) - 1,
                kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
                name=f"dense{i + 1}",
                dtype=self.dtype_policy,
            )
            for i, width in enumerate(self.widths)
        ]
        hidden = len(self.widths) - 1
        self.norms = [
            BatchNorm(name=f"norm{i + 1}", dtype=self.dtype_policy)
            for i in range(hidden * norm)
        ]
        self.last = UnitDense(
            outputs, not norm_last_layer, name="last", dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for i, dense in enumerate(self.dense):
            dense.build(shape)
            shape = (*shape[:-1], self.widths[i])
            if i < len(self.norms):
                self.norms[i].build(shape)
        self.last.build(shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        for i, dense in enumerate(self.dense):
            x = dense(x)
            if i < len(self.norms):
                x = self.norms[i](x, training=training)
            if i < len(self.dense) - 1:
                x = gelu(x, training)
        return self.last(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "widths": self.widths,
            "norm": self.norm,
            "norm_last_layer": self.norm_last_layer,
        }


@keras.saving.register_keras_serializable("keras_ssl")
class UnitDense(keras.layers.Layer):
    """Cosines with learned vectors, times learned lengths where asked.

    Args:
        outputs: Number of vectors.
        scaled: Whether their lengths are learned too.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(..., d)`.
    Output shape: `(..., outputs)`.
    """

    def __init__(self, outputs: int, scaled: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outputs, self.scaled = outputs, scaled

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.outputs),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            # Lengths are float32's affair; the product is the compute dtype's.
            autocast=False,
        )
        if self.scaled:
            self.scale = self.add_weight(
                name="scale", shape=(self.outputs,), initializer="ones"
            )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.math.l2_normalize(tf.cast(x, tf.float32), axis=-1)
        kernel = tf.math.l2_normalize(tf.convert_to_tensor(self.kernel.value), axis=0)
        logits = tf.matmul(
            tf.cast(x, self.compute_dtype), tf.cast(kernel, self.compute_dtype)
        )
        if self.scaled:
            logits *= tf.cast(self.scale.value, logits.dtype)
        return logits

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "scaled": self.scaled,
        }
