"""What an encoder makes of two fixed examples: what names and shapes cannot tell.

Weights may load by name into an encoder that computes something else: its code has
changed, or two kernels of one shape were swapped. So the output is stored where
weights are, and compared where they are loaded.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.core.console import say
from keras_ssl.encoders.base import kind

Encode = Callable[[tf.Tensor], tf.Tensor]

# The greatest distance of two outputs, as a share of their length, by rounding alone.
# Measured against float32, over ResNets and a ViT: float16 0.0014, bfloat16 0.011, and
# float32 in another order of its sums 8e-7; the rest is for deeper ones and other
# machines. Two kernels of a fresh ResNet-50 swapped are 0.014, of a ViT 0.4 and more.
_ROUNDING = {"float32": 1e-3, "float16": 0.01, "bfloat16": 0.05}
# Ampere GPUs multiply float32 in TF32, which has float16's digits; TPUs in bfloat16.
_MULTIPLIED = {"CPU": "float32", "GPU": "float16", "TPU": "bfloat16"}


def examples(takes: str, size: int) -> np.ndarray:
    """A smooth example and noise, made of whole numbers and so the same everywhere.

    Args:
        takes: `image` or `audio`.
        size: Side of an image in pixels, or length of a recording in samples.

    Returns:
        `(2, size, size, 3)` float32 in [0, 1], or `(2, size)` in [-1, 1].
    """
    shape = (size,) if takes == "audio" else (size, size, 3)
    place = np.arange(np.prod(shape), dtype=np.uint64)
    mixed = place * np.uint64(2654435761) % np.uint64(2**32)
    mixed = (mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519)
    noise = (mixed % np.uint64(2**32) >> np.uint64(16)).astype(np.float64) / 2**16
    if takes == "audio":
        at = np.arange(size) / 8000.0
        smooth = 0.5 * np.sin(2 * np.pi * (300.0 + 500.0 * at) * at)
        return np.stack([smooth, 2.0 * noise - 1.0]).astype(np.float32)
    down, across = np.meshgrid(*[np.arange(size) / size] * 2, indexing="ij")
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (down + 2.0 * across))
    smooth = np.stack([down, across, wave], axis=-1)
    return np.stack([smooth, noise.reshape(shape)]).astype(np.float32)


class KnownOutput:
    """An encoder's output on the fixed examples.

    Args:
        encoder: The encoder, built; what it takes, `image` or `audio`, where `encode`
            is given.
        size: Side of its images in pixels, or length of its recordings in samples.
        precision: Dtype policy that it computes in.
        encode: What to call in its place, such as its export; itself, in inference
            mode and compiled, if None.
    """

    def __init__(
        self,
        encoder: Any,
        size: int,
        precision: str,
        encode: Encode | None = None,
    ) -> None:
        self.size, self.precision = size, precision
        self.takes = encoder if isinstance(encoder, str) else kind(encoder)

        def infer(x: tf.Tensor) -> tf.Tensor:
            return encoder(x, training=False)

        # Compiled once, and called at every save.
        self.encode = encode or tf.function(infer, autograph=False)

    def __call__(self) -> dict[str, Any]:
        """The output now, and what it depends on, as JSON can hold it."""
        return {
            "features": self._features(self.size).tolist(),
            "size": self.size,
            "precision": self.precision,
            "device": distribute.device_kind(),
        }

    def check(self, known: dict[str, Any] | None, source: str) -> None:
        """Holds the output now against a stored one, and says what came out.

        Args:
            known: What a call returned when the weights were stored; None where they
                were stored before outputs were.
            source: Where the weights come from.

        Raises:
            ValueError: If they differ by more than rounding.
        """
        if not known:
            say(f"{source}: has no known output, so what it computes is not checked.")
            return
        want = np.asarray(known["features"], np.float64)
        found = self._features(known["size"]).astype(np.float64)
        most = max(
            tolerance(self.precision, distribute.device_kind()),
            tolerance(known["precision"], known["device"]),
        )
        off = difference(found, want)
        if not off <= most:
            raise ValueError(
                f"{source}: the weights loaded by name, but the encoder computes "
                "something else: its features of two fixed examples differ from those "
                f"stored with the weights by {off:.2g} of their length, and rounding "
                f"explains {most:.2g} at most. Was the encoder's code or configuration "
                "changed?"
            )
        say(f"{source}: its known output came out again, but for {off:.1g}.")

    def _features(self, size: int) -> np.ndarray:
        return np.asarray(self.encode(tf.constant(examples(self.takes, size))))


def tolerance(precision: str, device: str) -> float:
    """The greatest difference that may be rounding.

    Args:
        precision: A dtype policy of Keras.
        device: `CPU`, `GPU` or `TPU`.
    """
    kinds = (precision.removeprefix("mixed_"), _MULTIPLIED.get(device, "bfloat16"))
    return max(_ROUNDING.get(name, _ROUNDING["bfloat16"]) for name in kinds)


def difference(found: np.ndarray, want: np.ndarray) -> float:
    """The largest distance of two rows, as a share of their length.

    Args:
        found: `(n, d)` features.
        want: `(n, d)` features; infinite where shapes or places that are not finite
            differ.
    """
    if found.shape != want.shape:
        return float("inf")
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(found)):
        return float("inf")
    found, want = np.where(finite, found, 0.0), np.where(finite, want, 0.0)
    length = np.maximum(np.linalg.norm(want, axis=1), np.linalg.norm(found, axis=1))
    off = np.linalg.norm(found - want, axis=1)
    return float(np.max(off / np.maximum(length, 1e-30)))
