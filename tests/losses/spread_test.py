import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def test_koleo_of_orthogonal_rows():
    np.testing.assert_allclose(losses.koleo(5 * tf.eye(4)), -np.log(2) / 2, rtol=1e-6)


def test_koleo_pushes_only_from_the_nearest():
    x = tf.constant([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])
    near = np.sqrt([0.4, 0.4, 3.6])
    np.testing.assert_allclose(losses.koleo(x), -np.log(near).mean(), rtol=1e-5)


def test_koleo_of_equal_rows_is_large_but_finite():
    x = tf.ones([3, 4])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = losses.koleo(x)
    np.testing.assert_allclose(loss, -np.log(3e-8), rtol=1e-4)
    assert np.isfinite(tape.gradient(loss, x)).all()


def test_one_row_has_no_neighbour():
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        losses.koleo(tf.ones([1, 4]))
