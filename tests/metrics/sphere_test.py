"""Both are held against the authors' code in `tests/golden_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.metrics import alignment, uniformity


def features(rows=7, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, 4))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
def test_alignment_is_the_mean_power_of_distances(alpha):
    x, y = features(), features(seed=1)
    want = np.mean(np.linalg.norm(x - y, axis=1) ** alpha)
    np.testing.assert_allclose(alignment(x, y, alpha), want, rtol=1e-5)


@pytest.mark.parametrize("alpha", [1, 2])
def test_views_that_agree_are_aligned_and_give_finite_gradients(alpha):
    x = tf.constant(features())
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = alignment(x, tf.stop_gradient(x), alpha)
    assert float(value) == 0.0
    np.testing.assert_array_equal(tape.gradient(value, x), tf.zeros_like(x))


@pytest.mark.parametrize("t", [0.5, 2])
@pytest.mark.parametrize("rows", [2, 7])
def test_uniformity_is_over_pairs_of_different_images(t, rows):
    x = features(rows).astype(np.float64)
    i, j = np.triu_indices(rows, 1)
    want = np.log(np.mean(np.exp(-t * np.sum((x[i] - x[j]) ** 2, axis=1))))
    np.testing.assert_allclose(uniformity(tf.constant(x), t), want, rtol=1e-5)


def test_collapse_is_zero_and_opposites_are_low():
    same = tf.ones([5, 3]) / np.sqrt(3)
    np.testing.assert_allclose(uniformity(same), 0.0, atol=1e-5)
    opposite = tf.constant([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(uniformity(opposite, 2), -8.0, rtol=1e-6)


def test_unknown_row_counts_and_bfloat16():
    x = tf.cast(features(), tf.bfloat16)
    spec = [tf.TensorSpec([None, 4], tf.bfloat16)]
    got = tf.function(uniformity, input_signature=spec)(x)
    assert got.dtype == alignment(x, x).dtype == tf.float32
    np.testing.assert_allclose(got, uniformity(features()), rtol=2e-2)


def test_one_image_has_no_pairs():
    with pytest.raises(ValueError, match=r"at least two features, got \(1, 4\)"):
        uniformity(tf.ones([1, 4]))
