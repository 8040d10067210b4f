"""How a vision transformer makes tokens of an image."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.layers.conv_norm import ConvNorm
from keras_ssl.layers.initializers import kernel_initializer


class PatchProjection(keras.layers.Dense):
    """Projects each patch: a convolution whose stride is its size.

    Source: https://arxiv.org/abs/2010.11929, equation 1.

    Args:
        patch_size: Side of a patch in pixels.
        width: Channels of a token.
        init: How the kernel starts; see `kernel_initializer`. With `normal` as
            PyTorch's convolutions, which DINO leaves as they are.
        **kwargs: Those of a Keras layer.

    Input shape: `(n, h, w, 3)`, sides multiples of `patch_size`.
    Output shape: `(n, patches, width)`, row by row.

    Raises:
        ValueError: If `init` is unknown.
    """

    def __init__(
        self, patch_size: int, width: int, init: str = "xavier", **kwargs: Any
    ) -> None:
        start = (
            keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
            if init == "normal"
            else kernel_initializer(init)
        )
        super().__init__(width, kernel_initializer=start, **kwargs)
        self.patch_size = patch_size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        del input_shape  # Encoders give RGB.
        super().build((None, None, self.patch_size**2 * 3))
        self.input_spec = None  # Dense's is that of a patch, not of an image.

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return super().call(ops.patchify(images, self.patch_size))


class ConvStem(keras.layers.Layer):
    """3x3 convolutions of stride 2 down to a pixel a patch, and a projection.

    Channels double from one to the next and end at half the tokens' width, as in
    facebookresearch/moco-v3 vits.py. A token sees some pixels around its patch, so
    that a neighbour shows the border of a hidden one.
    Source: https://arxiv.org/abs/2106.14881, section 5.

    Args:
        patch_size: Side of a patch in pixels, a power of 2 above 1.
        width: Channels of a token, a multiple of `patch_size`.
        init: How the projection starts; see `kernel_initializer`.
        **kwargs: Those of a Keras layer.

    Input shape: `(n, h, w, 3)`, sides multiples of `patch_size`.
    Output shape: `(n, patches, width)`, row by row.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    def __init__(
        self, patch_size: int, width: int, init: str = "xavier", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        count = patch_size.bit_length() - 1
        if patch_size < 2 or 2**count != patch_size or width % patch_size:
            raise ValueError(
                "A stem of convolutions halves the sides with each: it needs a "
                "patch_size that is a power of 2 and a width that is a multiple of "
                f"it; got patch_size={patch_size}, width={width}."
            )
        self.convs = [
            ConvNorm(
                width // 2 ** (count - i),
                strides=2,
                name=f"conv{i + 1}",
                dtype=self.dtype_policy,
            )
            for i in range(count)
        ]
        self.projection = keras.layers.Dense(
            width,
            kernel_initializer=kernel_initializer(init),
            name="projection",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        for conv in self.convs:
            conv.build((None, None, None, channels))
            channels = conv.width
        self.projection.build((None, None, None, channels))

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = images
        for conv in self.convs:
            x = conv(x, training=training)
        patches = x.shape[1] * x.shape[2]
        return self.projection(tf.reshape(x, [-1, patches, x.shape[3]]))
