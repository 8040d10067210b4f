"""Views of recordings: random windows of the waveform."""

import dataclasses

import tensorflow as tf

from keras_ssl.core import randomness
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class AudioWindows:
    """Random windows of a recording, and nothing else (CPC).

    Stateless: which windows depends on the recording's length and its seed alone. A
    recording shorter than a window is shown whole, with zeros after it.

    Args:
        size: Length of a window, samples.
        count: How many windows a recording gets, >= 1.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 20480
    count: int = 1

    def __post_init__(self) -> None:
        if self.size < 1 or self.count < 1:
            raise ValueError(
                f"Expected size and count >= 1. Received: {self.size}, {self.count}"
            )

    @property
    def num_views(self) -> int:
        """How many views a recording gets."""
        return self.count

    # AutoGraph, which Dataset.map applies, has nothing to convert and takes seconds.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, waveforms: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Cuts the windows.

        Args:
            waveforms: `(n, samples)` int16, or floats in [-1, 1].
            seeds: `(n, 2)` int32, one seed pair an example.

        Returns:
            `count` tensors `(n, size)`, float32 in [-1, 1].

        Raises:
            ValueError: If the waveforms have another shape or type.
        """
        waveforms = tf.convert_to_tensor(waveforms)
        int16 = waveforms.dtype == tf.int16
        if waveforms.shape.rank != 2 or not (int16 or waveforms.dtype.is_floating):
            raise ValueError(
                "Expected recordings (n, samples) as int16, or as floats in [-1, 1]. "
                f"Received: {waveforms.dtype.name} of shape {waveforms.shape}"
            )
        samples = tf.shape(waveforms)[1]
        short = tf.maximum(self.size - samples, 0)
        padded = tf.pad(waveforms, [[0, 0], [0, short]])
        padded = tf.cast(padded, tf.float32) * (2.0**-15 if int16 else 1.0)
        starts = tf.cast(samples + short - self.size + 1, tf.float32)
        made = []
        for view in range(self.count):
            number = randomness.uniforms(seeds, view, 1)[:, 0]
            first = tf.cast(number * starts, tf.int32)
            places = first[:, None] + tf.range(self.size)
            cut = tf.gather(padded, places, axis=1, batch_dims=1)
            made.append(tf.ensure_shape(cut, [None, self.size]))
        return tuple(made)
