import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import open_source
from keras_ssl.encoders.alexnet import AlexNet
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.knn import KNN
from keras_ssl.evaluation.layers import Layers, pool
from keras_ssl.evaluation.raw import raw_pixels
from keras_ssl.evaluation.svm import SVM


@pytest.fixture(scope="module")
def data():
    train, test = (open_source("embedded:32", split) for split in ("train", "test"))
    return EvaluationData(train, test, 32, 60, 40, batch_size=25)


@pytest.fixture(scope="module")
def small():
    return Frozen(SmallResNet((1, 1), (4, 8), stem_width=4))


def test_every_layer_is_scored_as_its_features_would_be(small, data):
    layers = Layers(KNN(k=5), numbers=100)
    features = layers.features(small, data)
    images = tf.concat([data.test.read([0]), data.test.read([data.test.count - 1])], 0)
    maps = small.encoder.maps(tf.image.convert_image_dtype(images, tf.float32))
    assert list(features) == list(maps)
    for name, f in features.items():
        side = min(maps[name].shape[1], int((100 / maps[name].shape[3]) ** 0.5))
        assert f.train.shape == (60, side * side * maps[name].shape[3])
        assert f.test.shape[0] == len(f.test_labels) == 40
        want = tf.reshape(pool(maps[name], side), [2, -1])
        np.testing.assert_allclose(f.test[[0, -1]], want, rtol=1e-3, atol=1e-4)
    got = layers.run(small, data)
    assert list(got) == ["top1", *maps]
    assert got["top1"] == got[list(maps)[-1]]


@pytest.mark.parametrize("length", [5, 6, 7, 2])
def test_pools_as_adaptive_pooling_does(length):
    x = np.random.default_rng(0).normal(size=(2, length, length + 1, 3))
    for name, reduce in (("average", np.mean), ("max", np.max)):
        got = pool(tf.constant(x), 3, name).numpy()
        for i in range(3):
            for j in range(3):
                rows = slice(i * length // 3, int(np.ceil((i + 1) * length / 3)))
                width = length + 1
                columns = slice(j * width // 3, int(np.ceil((j + 1) * width / 3)))
                want = reduce(x[:, rows, columns], axis=(1, 2))
                np.testing.assert_allclose(got[:, i, j], want, rtol=1e-6)


def test_blocks_of_a_vit_come_in_order(data):
    vit = ViT(patch_size=16, width=8, depth=11, heads=2)
    found = Layers(KNN(k=3), numbers=16).features(Frozen(vit), data)
    assert list(found) == [block.name for block in vit.blocks]
    assert found[vit.blocks[0].name].train.shape == (60, 8)


def test_class_tokens_of_a_vit_stand_for_its_blocks(data):
    vit = ViT(patch_size=16, width=8, depth=3, heads=2)
    layers = Layers(KNN(k=3), pooling="class")
    found = layers.features(Frozen(vit), data)
    assert list(found) == [block.name for block in vit.blocks]
    # Of the last block it is what the encoder returns; the others are others.
    want = data.features(Frozen(vit)).test
    np.testing.assert_allclose(found[vit.blocks[2].name].test, want, atol=1e-4)
    images = tf.image.convert_image_dtype(data.test.read([0]), tf.float32)
    want = vit.norm(vit.block_tokens(images)[1])[0, 0]
    np.testing.assert_allclose(found[vit.blocks[1].name].test[0], want, atol=1e-4)
    assert "class token" in layers.protocol()["layers"]
    with pytest.raises(ValueError, match="class tokens have none"):
        Layers(sides=(2,), pooling="class")


def test_alexnet_has_the_sizes_of_rotnet(data):
    net = AlexNet(widths=(4, 4, 4, 4, 4), stride=1)
    layers = Layers(KNN(k=3), sides=(12, 7, 5, 6, 6), pooling="max")
    found = layers.features(Frozen(net), data)
    assert [f.train.shape[1] // 4 for f in found.values()] == [144, 49, 25, 36, 36]


def test_what_cannot_be_probed_is_said(small, data):
    with pytest.raises(ValueError, match="looks inside the encoder"):
        Layers().run(raw_pixels, data)
    with pytest.raises(ValueError, match=r"sides has 1 numbers, and the encoder \d"):
        Layers(sides=(1,)).run(small, data)
    with pytest.raises(ValueError, match=r"must give top1.*svm gives map"):
        Layers(SVM())
    for bad in ({"pooling": "mean"}, {"numbers": 0}, {"sides": (0,)}, {"sides": ()}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Layers(**bad)


def test_encoders_without_maps_are_refused(data):
    frozen = Frozen(type("Model", (), {"name": "audio_encoder"})())
    with pytest.raises(ValueError, match="audio_encoder has none"):
        Layers().run(frozen, data)


def test_protocol_names_the_probe():
    said = Layers(KNN(k=7), sides=(3, 2)).protocol()
    assert said["probe"]["evaluation"] == "knn"
    assert said["probe"]["k"] == 7
    assert (said["sides"], said["numbers"]) == ([3, 2], None)
