"""Layers of Keras and keras-cv as views: the example's seed decides, and alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations.keras_layers import KerasLayers
from keras_ssl.augmentations.policies.keras_layers import KerasLayerViews, keras_layer
from keras_ssl.core import config, registry

RANGE = {"value_range": (0, 1)}


def images(n=6):
    return np.random.default_rng(0).integers(0, 256, (n, 20, 24, 3), np.uint8)


def seeds(n=6, second=5):
    return np.stack([np.arange(n), np.full(n, second)], axis=1).astype(np.int32)


@keras.saving.register_keras_serializable(package="keras_layers_test")
class Unseeded(keras.layers.Layer):
    """Draws from a generator that nobody can give a seed to."""

    def call(self, inputs):
        return inputs + tf.random.uniform(tf.shape(inputs))


def test_are_registered():
    assert registry.get("views", "KerasLayerViews") is KerasLayerViews
    assert registry.get("layer", "keras_layer") is keras_layer


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("keras.layers.RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3}),
        ("keras.layers.RandomContrast", {"factor": 0.8, **RANGE}),
        ("keras_cv.layers.RandAugment", RANGE),
        ("keras_cv.layers.RandomShear", {"x_factor": 0.5}),
        ("keras_cv.layers.RandomHue", {"factor": 0.5, **RANGE}),
    ],
)
def test_the_seed_of_an_example_decides(name, arguments):
    # The whole image, so that only the layer is random.
    whole = {"area": (1.0, 1.0), "aspect": (1.0, 1.0), "flip": 0.0}
    views = KerasLayerViews((keras_layer(name, **arguments),), 16, 2, **whole)
    x = np.repeat(images(1), 6, axis=0)
    first, second = views(x, seeds())
    assert first.shape == (6, 16, 16, 3)
    assert np.min(first) >= 0
    assert np.max(first) <= 1
    order = np.array([3, 1, 5])
    some = views(x[order], seeds()[order])
    for part, made in zip(some, (first, second), strict=True):
        np.testing.assert_array_equal(part, made.numpy()[order])
    # Rarely a layer leaves an image alone: most must differ, not all.
    others = (views(x, seeds(second=6))[0], second, tf.roll(first, 1, axis=0))
    for other in others:
        assert (np.abs(first - other).max(axis=(1, 2, 3)) > 1e-3).sum() >= 4


def test_files_of_differing_sizes_give_the_same():
    layer = keras_layer("keras.layers.RandomContrast", factor=0.8, **RANGE)
    views = KerasLayerViews((layer,), 16)
    want = views(images(), seeds())
    numbers = views.draw(seeds())
    boxes = [views.boxes(20, 24, tuple(rows[i] for rows in numbers)) for i in range(6)]
    begun = [
        views.begin(images()[i], boxes[i], tuple(rows[i] for rows in numbers))
        for i in range(6)
    ]
    batch = tuple(tf.stack(view) for view in zip(*begun, strict=True))
    # Bicubic kernels of two kinds, then a contrast of up to 1.8.
    for got, view in zip(views.finish(batch, numbers), want, strict=True):
        np.testing.assert_allclose(got, view, atol=4e-3)


def test_layers_with_layers_in_them_are_taken_over():
    inner = keras_layer("keras_cv.layers.RandomFlip", mode="horizontal_and_vertical")
    outer = keras_layer("keras_cv.layers.RandomChoice", layers=[inner])
    step = KerasLayers((outer,), 8)
    x = tf.random.uniform((16, 8, 8, 3))
    u = tf.random.uniform((16, 2))
    np.testing.assert_array_equal(step(x, u), step(x, u))
    np.testing.assert_array_equal(step(x[3:9], u[3:9]), step(x, u)[3:9])
    changed = np.abs(step(x, u) - x).max(axis=(1, 2, 3)) > 0
    assert 4 < changed.sum() < 16


def test_sizes_may_change_and_be_unknown():
    step = KerasLayers((keras.layers.Resizing(5, 7),))
    assert step(tf.zeros((2, 8, 9, 3)), tf.zeros((2, 2))).shape == (2, 5, 7, 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KerasLayers((Unseeded(),), 8), ValueError, "Unseeded .RandomUniform"),
        (lambda: KerasLayers((abs,), 8), TypeError, "layer of Keras"),
        (lambda: KerasLayers((keras.layers.Flatten(),), 8), ValueError, "image .h, w"),
        (lambda: KerasLayers((keras.layers.MixUp(),), 8), ValueError, "mixes the im"),
        (
            lambda: KerasLayers((keras.layers.RandomBrightness(0.1),), 8),
            ValueError,
            r"needs value_range=\(0, 1\). Received: \(0, 255\)",
        ),
        (
            lambda: keras_layer("keras.layers.RandomFlop"),
            ValueError,
            "Did you mean 'RandomFlip'",
        ),
        (lambda: keras_layer("os.system"), ValueError, "begin with keras.layers"),
        (
            lambda: keras_layer("keras.layers.RandomFlip", axis=3),
            ValueError,
            r"RandomFlip\(axis=3\) failed",
        ),
        (lambda: KerasLayerViews((), count=0), ValueError, "count of views"),
    ],
)
def test_errors_say_what_to_do(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_own_layers_go_by_their_registered_name():
    assert isinstance(keras_layer("keras_layers_test>Unseeded"), Unseeded)


def test_gin_names_layers():
    config.parse(["methods/simclr.gin", "views/randaugment.gin", "tiny.gin"])
    views = config.value("train", "views")
    assert isinstance(views, KerasLayerViews)
    (layer,) = views.layers
    assert type(layer).__name__ == "RandAugment"
    assert layer.magnitude == 0.3
