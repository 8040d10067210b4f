"""Values are held against the authors' network in `tests/converters/resnet_test.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.layers.selective_kernel import SelectiveKernel


def test_each_channel_is_a_mean_of_two_streams_that_the_image_weighs():
    layer = SelectiveKernel(3, 2, ratio=0.5, min_width=4)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 6, 5)), tf.float32)
    got = layer(x)
    first, second = np.split(layer.streams(x).numpy(), 2, axis=-1)
    pooled = (first + second).mean((1, 2), keepdims=True)
    said = layer.excite(layer.squeeze(tf.constant(pooled))).numpy()
    a, b = np.exp(np.split(said, 2, axis=-1))
    assert got.shape == (2, 4, 3, 3)
    np.testing.assert_allclose(got, (a * first + b * second) / (a + b), 1e-4, 1e-6)


@pytest.mark.parametrize(("width", "narrow"), [(3, 4), (10, 5), (64, 32)])
def test_width_of_the_description(width, narrow):
    layer = SelectiveKernel(width, ratio=0.5, min_width=4)
    assert layer.squeeze.width == narrow


def test_config_round_trip():
    options = {"width": 3, "strides": 2, "ratio": 0.5, "min_width": 4}
    made = SelectiveKernel(**options, name="sk", dtype="mixed_bfloat16")
    config = keras.layers.deserialize(keras.layers.serialize(made)).get_config()
    assert config == made.get_config()
    assert {k: config[k] for k in options} == options


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.5])
def test_ratio_out_of_range(ratio):
    with pytest.raises(ValueError, match=rf"in \(0, 1\], got {ratio}"):
        SelectiveKernel(3, ratio=ratio)
