"""BYOL's loss beside its golden vector: its ends, and zero vectors."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


@pytest.mark.parametrize(("factor", "loss"), [(3.0, 0.0), (-0.5, 4.0)])
def test_same_and_opposite(factor, loss):
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
    np.testing.assert_allclose(losses.byol_regression(x, factor * x), loss, atol=1e-5)


def test_zero_vectors_have_finite_gradients():
    x = tf.zeros([2, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = losses.byol_regression(x, tf.ones([2, 3]))
    assert np.all(np.isfinite(tape.gradient(loss, x)))
    np.testing.assert_allclose(loss, 1.0, rtol=1e-5)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="same shape"):
        losses.byol_regression(tf.zeros([2, 3]), tf.zeros([2, 4]))


def test_simsiam_of_same_and_opposite():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
    y = x[::-1]
    np.testing.assert_allclose(losses.simsiam(x, y, 2 * y, 3 * x), -1.0, rtol=1e-6)
    np.testing.assert_allclose(losses.simsiam(x, y, -y, -x), 1.0, rtol=1e-6)
    np.testing.assert_allclose(losses.simsiam(x, y, -y, x), 0.0, atol=1e-6)
