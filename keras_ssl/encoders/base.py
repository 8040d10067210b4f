"""What every encoder is: images in, features out, normalisation inside."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf


def kind(encoder: keras.Model) -> str:
    """What an encoder takes, `image` or `audio`; a foreign model says nothing."""
    return getattr(encoder, "takes", "image")


def example_shape(encoder: keras.Model, size: int) -> tuple[int, ...]:
    """Shape of one example for an encoder.

    Args:
        encoder: The encoder.
        size: Side of an image in pixels, or length of a recording in samples.
    """
    return (size,) if kind(encoder) == "audio" else (size, size, 3)


class Encoder(keras.Model):
    """Maps `(n, h, w, 3)` images in [0, 1] to `(n, feature_dim)` float32 features.

    Subclasses define `maps`. Normalisation is the first thing an encoder does, in
    float32, so that views and serving need none. An encoder of something else than
    images is a Keras model of its own, with `takes`, `feature_dim` and `get_config`.

    Class attributes:
        takes: `image`, or `audio` for waveforms `(n, samples)` in [-1, 1].

    Args:
        mean: Subtracted from each channel.
        std: Positive divisor of each channel.
        **kwargs: `name`, `dtype` and the like, for `keras.Model`.
    """

    takes: ClassVar[str] = "image"
    feature_dim: int

    def __init__(
        self,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.25, 0.25, 0.25),
        **kwargs: Any,
    ) -> None:
        # Keras would round images to bfloat16 before they are normalised.
        super().__init__(autocast=False, **kwargs)
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(
                "mean and std need three numbers, std positive ones; received "
                f"mean={tuple(mean)}, std={tuple(std)}."
            )
        self.mean, self.std = tuple(mean), tuple(std)

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Standardises `(n, h, w, 3)` images; the result has the compute dtype."""
        if images.shape[-1] != 3:
            raise ValueError(
                f"{self.name} needs images of shape (n, h, w, 3), got {images.shape}."
            )
        x = (tf.cast(images, tf.float32) - self.mean) / self.std
        return tf.cast(x, self.compute_dtype)

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns spatial features by stage: `{"stage1": (n, h, w, c), ...}`."""
        raise NotImplementedError(f"{type(self).__name__} must define maps().")

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        *_, last = self.maps(images, training=training).values()
        return tf.reduce_mean(tf.cast(last, tf.float32), axis=[1, 2])

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "mean": self.mean, "std": self.std}
