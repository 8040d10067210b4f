"""The deterministic operations against golden vectors, tf.image and their limits."""

import itertools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations import functional

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
CASES = [
    path.stem
    for pattern in ("adjust_*", "gaussian_blur*", "solarize*", "to_grayscale*")
    for path in sorted(GOLDEN.glob(pattern + ".json"))
]
NAMES = ("brightness", "contrast", "saturation", "hue")


def images(n=4, height=9, width=7, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.uniform(size=(n, height, width, 3)), tf.float32)


def close(got, want, atol=1e-5):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=0, atol=atol)


def test_golden_vectors_are_here():
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    spec = json.loads((GOLDEN / f"{case}.json").read_text())
    data = np.load(GOLDEN / f"{case}.npz")
    function = getattr(functional, spec["symbol"].rpartition(".")[2])
    got = function(tf.constant(data["images"]), **spec["kwargs"])
    np.testing.assert_allclose(
        got, data["out_images"], rtol=spec["rtol"], atol=spec["atol"]
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("adjust_brightness", [0.0, 0.5, 1.0, 1.7]),
        ("adjust_contrast", [0.0, 0.5, 1.0, 1.7]),
        ("adjust_saturation", [0.0, 0.5, 1.0, 9.0]),
        ("adjust_hue", [-0.4, 0.0, 0.1, 3.3]),
        ("solarize", [0.0, 0.5, 0.7, 2.0]),
    ],
)
def test_a_value_an_image_is_that_value_alone(name, values):
    function, x = getattr(functional, name), images()
    together = function(x, tf.constant(values))
    for i, value in enumerate(values):
        close(together[i], function(x[i], value), 1e-6)


@pytest.mark.parametrize(
    ("name", "neutral"),
    [
        ("adjust_brightness", 1.0),
        ("adjust_contrast", 1.0),
        ("adjust_saturation", 1.0),
        ("adjust_hue", 0.0),
        ("adjust_hue", 1.0),
        ("solarize", 1.1),
    ],
)
def test_neutral_values_change_nothing(name, neutral):
    x = tf.concat([images(), tf.zeros((1, 9, 7, 3)), tf.ones((1, 9, 7, 3))], axis=0)
    close(getattr(functional, name)(x, neutral), x, 1e-6)


@pytest.mark.parametrize("delta", [-0.5, -0.13, 0.07, 0.5])
@pytest.mark.parametrize("factor", [0.0, 0.4, 3.0])
def test_hue_and_saturation_agree_with_tf_image(delta, factor):
    x = images(2, 16, 16)
    close(functional.adjust_hue(x, delta), tf.image.adjust_hue(x, delta))
    want = tf.image.adjust_saturation(x, factor)
    close(functional.adjust_saturation(x, factor), want)


def test_blur_takes_a_sigma_an_image():
    x = images()
    together = functional.gaussian_blur(x, 5, tf.constant([0.1, 0.5, 1.0, 2.0]))
    for i, sigma in enumerate((0.1, 0.5, 1.0, 2.0)):
        close(together[i], functional.gaussian_blur(x[i], 5, sigma), 1e-6)
    close(functional.gaussian_blur(x, 1, 1.0), x, 1e-6)


def test_jitter_holds_all_orders():
    orders = list(itertools.permutations(range(4)))
    x = images(len(orders), 6, 5)
    rng = np.random.default_rng(1)
    values = {
        name: tf.constant(rng.uniform(low, high, len(orders)), tf.float32)
        for name, low, high in zip(
            NAMES, (0.2, 0.2, 0.2, -0.5), (1.8, 1.8, 1.8, 0.5), strict=True
        )
    }
    # orders[i][k] is the operation at place k; the sort keys are the inverse.
    keys = tf.constant(np.argsort(orders, axis=1))
    got = functional.color_jitter(x, **values, order=keys)
    for i, order in enumerate(orders):
        want = x[i]
        for name in (NAMES[k] for k in order):
            want = getattr(functional, f"adjust_{name}")(want, values[name][i])
            want = tf.clip_by_value(want, 0.0, 1.0)
        close(got[i], want)
        alone = {name: value[i] for name, value in values.items()}
        close(functional.color_jitter(x[i], **alone, order=keys[i]), want)


@pytest.mark.parametrize("size", [(9, 7), (20, 30), (5, 3), (1, 1)])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_full_box_agrees_with_tf_image_resize(size, method, antialias):
    # tf.image.resize looks bicubic weights up in a table, hence the tolerance.
    got = functional.crop_and_resize(
        images(), [0.0, 0.0, 1.0, 1.0], size, method, antialias
    )
    want = tf.image.resize(images(), size, method, antialias=antialias)
    close(got, tf.clip_by_value(want, 0.0, 1.0), 1e-5 if antialias else 2e-3)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_boxes_agree_with_slices(method):
    x, size = images(), 6
    pixels = np.array([[0, 0, 9, 7], [2, 1, 8, 4], [8, 6, 9, 7], [0, 3, 3, 7]])
    boxes = tf.constant(pixels / np.array([9, 7, 9, 7]), tf.float32)
    flip = tf.constant([False, True, False, True])
    got = functional.crop_and_resize(x, boxes, size, method, True, flip=flip)
    for i, (top, left, bottom, right) in enumerate(pixels):
        part = x[i : i + 1, top:bottom, left:right]
        want = tf.clip_by_value(
            tf.image.resize(part, (size, size), method, antialias=True), 0.0, 1.0
        )[0]
        close(got[i], want[:, ::-1] if flip[i] else want)
        alone = functional.crop_and_resize(x[i], boxes[i], size, method, True, flip[i])
        close(alone, got[i], 1e-6)


def test_flip_mirrors_left_and_right():
    x = images()
    got = functional.crop_and_resize(x, [0.0, 0.0, 1.0, 1.0], (9, 7), flip=True)
    close(got, x[:, :, ::-1], 1e-6)


def test_unknown_method_is_an_error():
    with pytest.raises(ValueError, match=r"'bicubic', 'bilinear'.*'nearest'"):
        functional.crop_and_resize(images(), [0.0, 0.0, 1.0, 1.0], 4, "nearest")


def test_select_takes_whole_images():
    x, y = images(seed=0), images(seed=1)
    got = functional.select(tf.constant([True, False, False, True]), x, y)
    close(got, tf.stack([x[0], y[1], y[2], x[3]]), 0)


@pytest.mark.parametrize("taps", [1, 3, 5, 13])
def test_blur_at_the_edge_repeats_the_nearest_pixel(taps):
    x, radius = images(), taps // 2
    wide = np.pad(x, ((0, 0), (radius, radius), (radius, radius), (0, 0)), "edge")
    want = functional.gaussian_blur(tf.constant(wide), taps, 1.5)
    want = want[:, radius : radius + 9, radius : radius + 7]
    close(functional.gaussian_blur(x, taps, 1.5, "edge"), want, 1e-6)
    flat = functional.gaussian_blur(tf.ones((1, 9, 7, 3)), taps, 2.0, "edge")
    close(flat, tf.ones((1, 9, 7, 3)), 1e-6)


@pytest.mark.parametrize("border", ["zeros", "edge"])
def test_one_image_has_the_border_of_a_batch(border):
    image = tf.random.stateless_uniform([9, 9, 3], [0, 1])
    one = functional.gaussian_blur(image, 5, 2.0, border)
    batch = functional.gaussian_blur(image[None], 5, 2.0, border)[0]
    np.testing.assert_array_equal(one, batch)
    flat = functional.gaussian_blur(tf.ones([9, 9, 3]), 5, 2.0, border)
    assert (np.min(flat) > 0.999) == (border == "edge")


def test_unknown_border_is_an_error():
    with pytest.raises(ValueError, match=r"'edge' or 'zeros'.*'wrap'"):
        functional.gaussian_blur(images(), 3, 1.0, "wrap")


@pytest.mark.parametrize("size", [(64, 64), (65, 63), (96, 128)])
def test_contrast_of_large_images_keeps_the_mean(size):
    images = np.random.default_rng(0).uniform(size=(2, *size, 3)).astype(np.float32)
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    got = functional.adjust_contrast(images, [0.0, 1.4])
    want = mean + (images - mean) * np.reshape([0.0, 1.4], (2, 1, 1, 1))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
