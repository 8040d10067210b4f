"""What conformance cannot know of RotNet, MAE and BYOL: their own promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import registry
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mae_decoder import MAEDecoder
from keras_ssl.heads.mlp import MLP
from keras_ssl.methods.mae import MAE
from keras_ssl.methods.rotnet import RotNet
from tests import harness


def batch(n=4, seed=0):
    views = (tf.cast(harness.images(n, seed=seed), tf.float32) / 255.0,)
    seeds = tf.stack([tf.range(n), tf.fill([n], seed)], axis=1)
    return {"views": views, "seed": seeds, "index": tf.range(n, dtype=tf.int64)}


@pytest.fixture(scope="module")
def mae():
    keras.utils.set_random_seed(0)
    encoder = ViT(8, 24, 2, 3, image_size=32)
    return MAE(encoder, MAEDecoder(12, 1, 3, patch_size=8, image_size=32))


def test_mae_hides_by_the_examples_seed_alone(mae):
    both, first = batch(), batch()
    masks = mae.forward(both)["mask"]
    assert np.unique(masks, axis=0).shape[0] > 1
    np.testing.assert_array_equal(np.sum(masks, axis=1), 12)
    half = {"views": (both["views"][0][2:],), "seed": both["seed"][2:]}
    np.testing.assert_array_equal(mae.forward(half)["mask"], masks[2:])
    np.testing.assert_array_equal(mae.forward(first)["mask"], masks)


def test_mae_never_sees_what_it_hides(mae):
    one = batch()
    before = mae.forward(one)
    images = one["views"][0]
    hidden = tf.reshape(before["mask"], [4, 4, 1, 4, 1, 1])
    grid = tf.reshape(images, [4, 4, 8, 4, 8, 3])
    other = tf.reshape(grid * (1 - hidden) + 0.5 * hidden, images.shape)
    after = mae.forward({**one, "views": (other,)})
    np.testing.assert_array_equal(after["prediction"], before["prediction"])


def test_mae_shows_what_it_saw_and_painted(mae):
    one = batch()
    outputs = mae.forward(one)
    pictures = mae.pictures(outputs)
    assert list(pictures) == ["image", "seen", "painted"]
    hidden = np.repeat(np.repeat(np.reshape(outputs["mask"], [4, 4, 4]), 8, 1), 8, 2)
    image, seen, painted = (np.asarray(x) for x in pictures.values())
    np.testing.assert_allclose(seen[hidden == 0], image[hidden == 0], atol=1e-6)
    np.testing.assert_allclose(painted[hidden == 0], image[hidden == 0], atol=1e-6)
    assert np.all(seen[hidden == 1] == 0.5)
    # A perfect prediction paints the image.
    patches = mae.encoder.patch_size
    mean, deviation = _statistics(image, patches)
    perfect = (_patches(image, patches) - mean) / deviation
    painted = mae.pictures({**outputs, "prediction": tf.constant(perfect)})["painted"]
    np.testing.assert_allclose(painted, image, atol=1e-5)


def _patches(images, p):
    n, h, w, c = images.shape
    x = images.reshape(n, h // p, p, w // p, p, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, -1, p * p * c)


def _statistics(images, p):
    x = _patches(images, p)
    deviation = np.sqrt(x.var(-1, keepdims=True, ddof=1) + 1e-6)
    return x.mean(-1, keepdims=True), deviation


def test_mae_needs_a_vit():
    with pytest.raises(TypeError, match="such as ViT; got SmallResNet"):
        MAE(SmallResNet((1,), (4,)), MAEDecoder(12, 1, 3))


def test_rotnets_rows_are_the_turns():
    keras.utils.set_random_seed(0)
    method = RotNet(SmallResNet((1,), (4,)), MLP((4,)))
    one = batch()
    logits = method.forward(one)["logits"]
    assert logits.shape == (4, 4, 4)
    # Features of a turned image are those of the image in the same place of the batch.
    turned = np.rot90(one["views"][0], 1, axes=(1, 2)).copy()
    again = method.forward({**one, "views": (tf.constant(turned),)})["logits"]
    np.testing.assert_allclose(again[:, :3], logits[:, 1:], rtol=1e-3, atol=1e-4)


def test_rotnet_says_which_width_is_wrong():
    method = RotNet(SmallResNet((1,), (4,)), MLP((8, 5)))
    with pytest.raises(ValueError, match="it has 5"):
        method.forward(batch())


def test_byols_target_follows_by_the_schedule():
    entry = next(e for e in registry.entries("method") if e.name == "BYOL")
    bench = harness.Bench(entry)
    target, online = bench.method.target.averaged.value[0]
    start = target.numpy()
    np.testing.assert_array_equal(start, online)
    momentum = float(bench.method.now(bench.method.target.momentum))
    assert 0.5 < momentum < 1
    # The update counts as made when the target moves: the next step's momentum.
    bench.steps(1)
    momentum = float(bench.method.now(bench.method.target.momentum))
    want = momentum * start + (1 - momentum) * online.numpy()
    np.testing.assert_allclose(target, want, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(target, start)
