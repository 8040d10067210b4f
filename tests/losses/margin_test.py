import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses

ORIGIN, FIVE = [[0.0, 0.0]], [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("y", "margin", "loss"),
    [(0, 1.0, 12.5), (1, 1.0, 0.0), (1, 7.0, 2.0), (0.5, 7.0, 7.25)],
)
@pytest.mark.parametrize("dtype", [tf.float32, tf.int32])
def test_contrastive_pair(y, margin, loss, dtype):
    if dtype == tf.int32 and y == 0.5:
        pytest.skip("No such integer.")
    x1, x2 = tf.constant(ORIGIN), tf.constant(FIVE)
    got = losses.contrastive_pair(x1, x2, tf.constant([y], dtype), margin)
    np.testing.assert_allclose(got, loss, rtol=1e-6)


def test_equal_outputs_have_no_gradient():
    x1, x2 = tf.ones([2, 3]), tf.ones([2, 3])
    with tf.GradientTape() as tape:
        tape.watch([x1, x2])
        loss = losses.contrastive_pair(x1, x2, tf.constant([0, 1]), 2.0)
    np.testing.assert_allclose(loss, 1.0, rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(loss, [x1, x2]), np.zeros([2, 2, 3]))


def test_distances_of_each_kind():
    x1, x2 = tf.zeros([4, 2]), tf.constant([[3.0, 4], [0, 1], [0, 3], [6, 8]])
    got = losses.pair_distances(x1, x2, tf.constant([1, 0, 0, 1]))
    assert {k: float(v) for k, v in got.items()} == {"similar": 2, "dissimilar": 7.5}
    got = losses.pair_distances(x1, x2, tf.zeros([4]))
    assert float(got["dissimilar"]) == 0.0
