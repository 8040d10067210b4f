"""What an export can be asked for: functions of images or recordings by their names."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.data.decode import servable
from keras_ssl.data.pipeline import amplitudes, square
from keras_ssl.encoders.base import kind

Served = Callable[[tf.Tensor], dict[str, tf.Tensor]]
# The function of a signature, and its input.
Endpoint = tuple[Served, tf.TensorSpec]
_IMAGES = [None, None, None, 3]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A linear classifier of features.

    Attributes:
        weights: `(d + 1, classes)`, the biases in the last row.
        mean: `(d,)`, what is taken off features.
        scale: `(d,)`, what they are multiplied by then.
        classes: Their names.
        about: How it was fitted, as JSON can hold it.
    """

    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    classes: tuple[str, ...]
    about: Mapping[str, object]

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """`(n, classes)` float32 of `(n, d)` features."""
        # One product instead of three passes over the features.
        kernel = self.weights[:-1] * self.scale[:, None]
        bias = self.weights[-1] - self.mean @ kernel
        kernel, bias = (np.asarray(x, np.float32) for x in (kernel, bias))
        return tf.cast(features, tf.float32) @ kernel + bias


def endpoints(
    encoder: keras.Model,
    size: int,
    projector: keras.layers.Layer | None = None,
    probe: Probe | None = None,
) -> dict[str, Endpoint]:
    """All endpoints of an encoder; what they are is told by `saved_model.export`.

    Args:
        encoder: A built encoder.
        size: Side that images are brought to.
        projector: A built head of its features, if there is one.
        probe: A classifier of its features, if there is one.
    """
    if kind(encoder) == "audio":
        return _of_audio(encoder, projector, probe)
    found = _features(encoder, size)
    spec = tf.TensorSpec(_IMAGES, tf.uint8, "images")

    def features(x: tf.Tensor) -> tf.Tensor:
        return encoder(square(x, size), training=False)

    if hasattr(encoder, "maps"):

        def by_layer(x: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = encoder.maps(square(x, size), training=False)
            return {
                name: tf.reduce_mean(tf.cast(value, tf.float32), axis=[1, 2])
                for name, value in maps.items()
            }

        found["features_by_layer"] = (by_layer, spec)
    found |= {
        name: (of(features, made), spec) for name, of, made in _heads(projector, probe)
    }
    return found


def _features(encoder: keras.Model, size: int) -> dict[str, Endpoint]:
    """The endpoints that differ in what images come as."""

    def features(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(square(x, size), training=False)}

    def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec([size, size, 3], tf.float32)
        batch = tf.map_fn(
            lambda data: square(servable(data)[None], size)[0],
            image_bytes,
            fn_output_signature=spec,
        )
        return {"features": encoder(batch, training=False)}

    return {
        "serving_default": (features, tf.TensorSpec(_IMAGES, tf.uint8, "images")),
        "serve_float": (features, tf.TensorSpec(_IMAGES, tf.float32, "images")),
        "serve_image_bytes": (
            from_bytes,
            tf.TensorSpec([None], tf.string, "image_bytes"),
        ),
    }


def _of_audio(
    encoder: keras.Model,
    projector: keras.layers.Layer | None,
    probe: Probe | None,
) -> dict[str, Endpoint]:
    def features(x: tf.Tensor) -> tf.Tensor:
        return encoder(amplitudes(x), training=False)

    def named(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": features(x)}

    spec = tf.TensorSpec([None, None], tf.int16, "waveforms")
    whole = tf.TensorSpec([None, None], tf.float32, "waveforms")
    return {
        "serving_default": (named, spec),
        "serve_float": (named, whole),
        **{
            name: (of(features, made), spec)
            for name, of, made in _heads(projector, probe)
        },
    }


def _heads(
    projector: keras.layers.Layer | None, probe: Probe | None
) -> list[tuple[str, Callable[..., Served], object]]:
    """What follows the features: name, maker of the function, and the part."""
    found: list[tuple[str, Callable[..., Served], object]] = []
    if projector is not None:
        found.append(("projection", _projection, projector))
    if probe is not None:
        found.append(("logits", _logits, probe))
    return found


def _projection(features: Callable[..., tf.Tensor], head: keras.layers.Layer) -> Served:
    return lambda x: {
        "projection": tf.cast(head(features(x), training=False), tf.float32)
    }


def _logits(features: Callable[..., tf.Tensor], probe: Probe) -> Served:
    return lambda x: {"logits": probe.logits(features(x))}
