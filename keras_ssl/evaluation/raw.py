"""Baselines that need no encoder: what images and recordings are by themselves."""

import tensorflow as tf

from keras_ssl.evaluation.data import Encode


def raw_pixels(images: tf.Tensor) -> tf.Tensor:
    """Pixels as features, the baseline that needs no encoder.

    Larger images are reduced to 32 px: 3,072 numbers an image are enough for a
    baseline, and 150,000 would not fit in memory.
    """
    if images.shape[1] > 32:
        images = tf.image.resize(images, [32, 32], method="area")
    return tf.reshape(images, [tf.shape(images)[0], -1])


def spectrum(waveforms: tf.Tensor) -> tf.Tensor:
    """Mean log spectrum as features, the baseline of recordings.

    Of Hann windows of 256 samples, half overlapping, as far as the recording reaches:
    zeros at its end do not count.

    Args:
        waveforms: `(n, samples)` floats in [-1, 1].

    Returns:
        `(n, 129)` float32: mean of the logarithm of each frequency's amplitude.
    """
    frames = tf.abs(tf.signal.stft(waveforms, 256, 128, pad_end=True))
    places = tf.range(1, tf.shape(waveforms)[1] + 1)
    end = tf.reduce_max(tf.where(waveforms != 0, places, 0), axis=1)
    heard = tf.range(tf.shape(frames)[1]) * 128 < end[:, None]
    heard = tf.cast(heard, tf.float32)[..., None]
    count = tf.maximum(tf.reduce_sum(heard, axis=1), 1.0)
    return tf.reduce_sum(tf.math.log(frames + 1e-4) * heard, axis=1) / count


# What needs no encoder, by the kind of data: its name and the function.
RAW: dict[str, tuple[str, Encode]] = {
    "image": ("raw_pixels", raw_pixels),
    "audio": ("spectrum", spectrum),
}
