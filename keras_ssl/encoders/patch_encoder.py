"""An image encoder patch by patch, as CPC needs it."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import console
from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.batch_norm import BatchNorm

_MEETING = (BatchNorm, keras.layers.BatchNormalization)


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class PatchEncoder(Encoder):
    """Encodes a grid of overlapping patches, each as if it were an image of its own.

    Features of an image are the mean over its patches. No patch may see another, so
    the inner encoder should have no batch norm: with one, every patch knows a little of
    all others, and a warning says so (`ResNet.norm = 'layer'` has none).

    Args:
        encoder: Maps patches `(m, patch_size, patch_size, 3)` to `(m, d)`; it
            normalises their pixels.
        patch_size: Side of a patch, pixels.
        stride: From a patch to the next, pixels; half the patch if None.
        **kwargs: `name` and the like, for `keras.Model`.

    Raises:
        ValueError: If `patch_size` or `stride` is not positive.
    """

    def __init__(
        self,
        encoder: keras.Model | Mapping[str, Any],
        patch_size: int,
        stride: int | None = None,
        **kwargs: Any,
    ) -> None:
        stride = patch_size // 2 if stride is None else stride
        if patch_size < 1 or stride < 1:
            raise ValueError(
                f"patch_size and stride must be positive, got {patch_size} and "
                f"{stride}."
            )
        super().__init__(**{"name": "patch_encoder", **kwargs})
        if isinstance(encoder, Mapping):
            encoder = _from_record(encoder, self.dtype_policy)
        if any(isinstance(layer, _MEETING) for layer in encoder._flatten_layers()):
            console.say(
                f"{encoder.name} has batch norm, through which the patches of an image "
                "know each other while it trains. Take another norm, such as "
                "ResNet.norm = 'layer'."
            )
        self.encoder, self.patch_size, self.stride = encoder, patch_size, stride
        self.feature_dim = self.latent_dim = int(encoder.feature_dim)

    def patches(self, images: tf.Tensor) -> tf.Tensor:
        """Cuts `(n, h, w, 3)` images to `(n, rows, columns, size, size, 3)`."""
        return ops.overlapping_patches(images, self.patch_size, self.stride)

    def encode(
        self, patches: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Features of patches, and which of them are real: all.

        Args:
            patches: As `patches` returns them.
            training: Whether the inner encoder trains.

        Returns:
            `(n, rows, columns, d)`, and ones `(n, rows, columns)`.
        """
        rows, columns = patches.shape[1:3]
        flat = tf.reshape(patches, [-1, *patches.shape[3:]])
        features = self.encoder(flat, training=training)
        # Whoever never calls the encoder itself, as CPC, may still export it.
        self.built = True
        latents = tf.reshape(features, [-1, rows, columns, self.feature_dim])
        return latents, tf.ones_like(latents[..., 0], tf.float32)

    def latents(
        self, images: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`encode` of the patches of `(n, h, w, 3)` images."""
        return self.encode(self.patches(images), training=training)

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """`patches`, a map with a pixel for each patch."""
        return {"patches": self.latents(images, training=training)[0]}

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "patch_size": self.patch_size,
            "stride": self.stride,
        }


def _from_record(record: Mapping[str, Any], policy: Any) -> keras.Model:
    """Makes the inner encoder anew, in the outer one's precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return keras.saving.deserialize_keras_object(dict(record))
    finally:
        keras.config.set_dtype_policy(before)
