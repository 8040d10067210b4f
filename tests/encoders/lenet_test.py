import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.encoders.lenet import LeNet


def test_is_the_net_of_the_paper():
    net = LeNet()
    images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1])
    maps = net.maps(images)
    assert maps["stage1"].shape == (2, 27, 27, 15)
    assert maps["stage2"].shape == (2, 1, 1, 30)
    assert net(images).shape == (2, net.feature_dim) == (2, 2)
    # 6x6x3 to 15, 9x9x15 to 30, 30 to 2, each with biases.
    assert net.count_params() == 15 * 109 + 30 * 1216 + 62


def test_comes_back_from_its_config():
    net = LeNet(widths=(4, 5), kernels=(3, 5), pool=2, outputs=3)
    images = tf.random.stateless_uniform([2, 20, 24, 3], [0, 1])
    want = net(images)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(net)
    )
    again(images)
    again.set_weights(net.get_weights())
    np.testing.assert_array_equal(again(images), want)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": (1,)}, "two widths and two kernels"),
        ({"kernels": (3, 3, 3)}, "two widths and two kernels"),
        ({"pool": 0}, "must be at least 1"),
        ({"outputs": 0}, "must be at least 1"),
    ],
)
def test_numbers_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        LeNet(**options)


def test_small_images_are_refused():
    with pytest.raises(ValueError, match=r"at least 32 px.*\(1, 31, 32, 3\)"):
        LeNet()(tf.zeros([1, 31, 32, 3]))
