import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.encoders.alexnet import AlexNet

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
COUNTS = json.loads((GOLDEN / "param_count_resnet_alexnet.json").read_text())["entries"]
DEEPCLUSTER = {
    "widths": (96, 256, 384, 384, 256),
    "sobel": True,
    "linear_norm": False,
}


def counts(net):
    net(tf.zeros([1, 224, 224, 3]))
    return tuple(
        sum(int(np.prod(v.shape)) for v in group)
        for group in (net.trainable_variables, net.non_trainable_variables)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("rotnet_alexnet_bn", {}), ("deepcluster_alexnet_bn_sobel", DEEPCLUSTER)],
)
def test_has_the_parameters_of_the_papers_code(name, options):
    want = COUNTS[name]
    got = counts(AlexNet(linear=True, **options))
    assert got == (want["trainable"], want["bn_statistics"])


def test_convolutions_have_the_parameters_of_the_papers_code():
    rotnet = COUNTS["rotnet_alexnet_bn"]["conv_layers"]
    deepcluster = COUNTS["deepcluster_alexnet_bn_sobel"]["features"]
    assert counts(AlexNet())[0] == rotnet
    assert counts(AlexNet(**DEEPCLUSTER)) == (
        deepcluster["trainable"],
        deepcluster["bn_statistics"],
    )


def test_maps_are_those_of_224_px_after_relu():
    net = AlexNet(widths=(4, 5, 6, 7, 8))
    images = tf.random.stateless_uniform([2, 224, 224, 3], [0, 1])
    maps = net.maps(images)
    shapes = [(55, 4), (27, 5), (13, 6), (13, 7), (13, 8)]
    for (name, value), (side, width) in zip(maps.items(), shapes, strict=True):
        assert value.shape == (2, side, side, width), name
        assert tf.reduce_min(value) == 0.0
    features = net(images)
    assert features.shape == (2, net.feature_dim) == (2, 8)
    np.testing.assert_allclose(features, tf.reduce_mean(maps["conv5"], [1, 2]), 1e-5)


def test_sobel_sees_edges_and_no_flat_colour():
    net = AlexNet(widths=(2,) * 5, sobel=True, stride=1, mean=(0,) * 3, std=(1,) * 3)
    seen = {}
    net.convolutions[0].call, first = (
        lambda x: seen.setdefault("x", x) is None or first(x),
        net.convolutions[0].call,
    )
    ramp = tf.tile(tf.linspace(0.0, 1.0, 32)[None, None, :, None], [1, 32, 1, 3])
    net.maps(ramp)
    inner = seen["x"].numpy()[0, 4:-4, 4:-4]
    np.testing.assert_allclose(inner[..., 0], -8 / 31, rtol=1e-3)
    np.testing.assert_allclose(inner[..., 1], 0, atol=1e-5)


def test_comes_back_from_its_config():
    net = AlexNet(widths=(2, 3, 4, 5, 6), sobel=True, stride=1)
    images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1])
    want = net(images)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(net)
    )
    again(images)
    again.set_weights(net.get_weights())
    np.testing.assert_array_equal(again(images), want)


@pytest.mark.parametrize("widths", [(1, 2), (1, 2, 3, 4, 0)])
def test_widths_are_checked(widths):
    with pytest.raises(ValueError, match="needs five widths"):
        AlexNet(widths=widths)


def test_small_images_are_refused():
    with pytest.raises(ValueError, match=r"at least 63 px.*\(1, 62, 62, 3\)"):
        AlexNet()(tf.zeros([1, 62, 62, 3]))
    with pytest.raises(ValueError, match=r"maps of 6x6.*linear=False"):
        AlexNet(widths=(1,) * 5, linear=True)(tf.zeros([1, 96, 96, 3]))
