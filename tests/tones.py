"""A tiny set of recordings: tones of three pitches by two voices, of any length."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

NAME = "tfds:tones?audio=audio&label=voice"
COUNTS = {"train": 48, "test": 12}


def waveform(i):
    """Recording `i`: pitch `i % 3`, voice `i % 2` (with overtones or without)."""
    samples = np.arange(400 + 37 * (i % 11))
    phase = 2 * np.pi * (200 + 150 * (i % 3)) * samples / 8000
    wave = np.sin(phase + i) + (i % 2) * 0.5 * np.sin(5 * phase)
    return (10_000 * wave).astype(np.int16)


class Tones(tfds.core.GeneratorBasedBuilder):
    """The builder."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "audio": tfds.features.Audio(sample_rate=8000, dtype=np.int16),
            "pitch": tfds.features.ClassLabel(names=["low", "middle", "high"]),
            "voice": tfds.features.ClassLabel(names=["plain", "rich"]),
            "number": tf.int64,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(count) for name, count in COUNTS.items()}

    def _generate_examples(self, count):
        for i in range(count):
            row = {"audio": waveform(i), "pitch": i % 3, "voice": i % 2, "number": i}
            yield i, row


def prepare(folder):
    """Writes the set, to be opened by `NAME` with this `data_dir`."""
    Tones(data_dir=str(folder)).download_and_prepare()
    return str(folder)
