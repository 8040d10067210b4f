"""The multi-layer perceptron used as projector and predictor everywhere."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.layers.batch_norm import BatchNorm


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class MLP(keras.layers.Layer):
    """Dense, batch norm, ReLU; the last dense layer stays linear.

    Args:
        widths: Output width of each dense layer, the last one included.
        last_norm: Whether a batch norm without centre follows the last layer, as in
            google-research/simclr tf2/model.py.
        last_bias: Whether the last layer has a bias; it has none before a norm.
        norm: Whether batch norms follow the layers before the last; without them
            these have biases (MoCo v2).
        last_scale: Whether the norm after the last layer scales (MoCo v3: not).
        layers: How many of the layers to make, the first ones; all of them if None.
            Each stays what it is in the whole: a layer before the last of `widths`
            ends in its norm and ReLU also where nothing follows.
        **kwargs: For `keras.layers.Layer`.

    Input shape: `(n, d)`.
    Output shape: `(n, widths[-1])`, or `(n, widths[layers - 1])`.

    Raises:
        ValueError: If `widths` is empty or there are not so many `layers`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        last_norm: bool = False,
        last_bias: bool = True,
        norm: bool = True,
        last_scale: bool = True,
        layers: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not widths:
            raise ValueError("MLP needs at least one width, such as (512, 128).")
        if layers is not None:
            _check_layers(layers, len(widths))
        self.widths, self.last_norm, self.layers = tuple(widths), last_norm, layers
        self.last_bias, self.norm, self.last_scale = last_bias, norm, last_scale
        last = len(self.widths) - 1
        self.dense = [
            keras.layers.Dense(
                width,
                use_bias=last_bias and not last_norm if i == last else not norm,
                name=f"dense{i + 1}",
                dtype=self.dtype_policy,
            )
            for i, width in enumerate(self.widths[:layers])
        ]
        self.norms = [self._norm(i, last) for i in range(len(self.dense))]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for dense, norm, width in zip(
            self.dense, self.norms, self.widths[: self.layers], strict=True
        ):
            dense.build(shape)
            shape = (*shape[:-1], width)
            if norm is not None:
                norm.build(shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        last = len(self.widths) - 1
        for i, (dense, norm) in enumerate(zip(self.dense, self.norms, strict=True)):
            x = dense(x)
            if norm is not None:
                x = norm(x, training=training)
            if i < last:
                x = tf.nn.relu(x)
        return x

    def first(self, layers: int) -> "MLP":
        """A new MLP of the same kind as the first layers of this one.

        What SimCLRv2 fine-tunes from (`ft_proj_selector` of google-research/simclr
        tf2/model.py counts the same way, and 0 there is the encoder alone).

        Args:
            layers: How many, from 1 to the number of widths.

        Raises:
            ValueError: If there are not so many.
        """
        # Keras would make it a TypeError.
        _check_layers(layers, len(self.widths))
        return type(self).from_config({**self.get_config(), "layers": layers})

    @property
    def output_width(self) -> int:
        """Width of what comes out."""
        return self.widths[len(self.dense) - 1]

    def _norm(self, i: int, last: int) -> BatchNorm | None:
        """The norm after a dense layer, if there is one."""
        if not (self.last_norm if i == last else self.norm):
            return None
        return BatchNorm(
            center=i < last,
            scale=i < last or self.last_scale,
            name=f"norm{i + 1}",
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "widths": self.widths,
            "last_norm": self.last_norm,
            "last_bias": self.last_bias,
            "norm": self.norm,
            "last_scale": self.last_scale,
            "layers": self.layers,
        }


def _check_layers(layers: int, most: int) -> None:
    if not 1 <= layers <= most:
        raise ValueError(
            f"layers must be from 1 to {most}, the number of widths; got {layers}."
        )
