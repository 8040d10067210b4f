import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations.audio import AudioWindows


def waves(n=4, samples=100):
    return np.arange(n * samples).reshape(n, samples).astype(np.int16)


def seeds(n=4, first=0):
    return tf.stack([tf.range(first, first + n), tf.fill([n], 7)], axis=1)


def test_windows_are_parts_of_the_recording():
    one, two = AudioWindows(30, 2)(waves(), seeds())
    for view in (one, two):
        assert view.shape == (4, 30)
        assert view.dtype == tf.float32
        values = view.numpy() * 2**15
        starts = values[:, :1]
        np.testing.assert_array_equal(values, starts + np.arange(30))
        assert np.all(starts[:, 0] // 100 == np.arange(4))
    assert np.any(one != two)


def test_a_window_depends_on_its_own_seed_alone():
    views = AudioWindows(30)
    whole = views(waves(), seeds())[0]
    alone = views(waves()[2:3], seeds()[2:3])[0]
    np.testing.assert_array_equal(whole[2:3], alone)
    assert np.any(views(waves(), seeds(first=50))[0] != whole)


def test_every_start_comes_about():
    waveform = np.tile(np.arange(12, dtype=np.int16), (600, 1))
    found = AudioWindows(10)(waveform, seeds(600))[0].numpy()[:, 0] * 2**15
    values, counts = np.unique(found, return_counts=True)
    np.testing.assert_array_equal(values, [0, 1, 2])
    assert counts.min() > 150


def test_what_is_short_is_shown_whole():
    view = AudioWindows(130)(waves() + 1, seeds())[0].numpy()
    np.testing.assert_array_equal(view[:, :100] * 2**15, waves() + 1)
    assert not view[:, 100:].any()


def test_floats_are_taken_as_they_are():
    halves = tf.fill([2, 40], 0.5)
    assert np.all(AudioWindows(30)(halves, seeds(2))[0].numpy() == 0.5)


def test_errors():
    with pytest.raises(ValueError, match=r"Expected size and count >= 1. .* 0, 1"):
        AudioWindows(0)
    with pytest.raises(ValueError, match=r"int16, or as floats .*uint8 of shape"):
        AudioWindows(30)(tf.zeros([1, 40], tf.uint8), seeds(1))
    with pytest.raises(ValueError, match=r"Received: float32 of shape \(1, 4, 4, 3\)"):
        AudioWindows(30)(tf.zeros([1, 4, 4, 3]), seeds(1))
