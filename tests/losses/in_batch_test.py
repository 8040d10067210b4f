import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_moco_v3_at_chance_and_at_its_best(temperature):
    same, n = tf.ones([6, 4]), 6
    chance = losses.moco_v3(same, same, same, same, temperature)
    np.testing.assert_allclose(chance, 4 * temperature * np.log(n), rtol=1e-5)
    eye = tf.eye(n)
    best = 4 * temperature * np.log(1 + (n - 1) * np.exp(-1 / temperature))
    got = losses.moco_v3(eye, eye, 3 * eye, 5 * eye, temperature)
    np.testing.assert_allclose(got, best, rtol=1e-5)


def test_moco_v3_compares_a_view_with_the_other():
    x, y = tf.eye(4), tf.constant(np.eye(4)[[1, 2, 3, 0]], tf.float32)
    matched = losses.moco_v3(x, y, y, x, 0.1)
    swapped = losses.moco_v3(x, y, x, y, 0.1)
    assert float(matched) < 0.01 < 3 < float(swapped)


def test_cpc_runs_over_targets():
    """Rows that tell nothing apart, whatever their size, are at chance."""
    predictions = tf.constant([[1.0], [2.0], [3.0]])
    got = losses.cpc_info_nce(predictions, tf.ones([3, 1]))
    np.testing.assert_allclose(got, np.log(3), rtol=1e-6)
    assert float(losses.cpc_info_nce(tf.ones([3, 1]), predictions)) > 1.2


def test_cpc_accuracy_counts_right_targets():
    eye = np.eye(4, dtype="float32")
    for order, share in (([0, 1, 2, 3], 1), ([1, 0, 2, 3], 0.5), ([1, 2, 3, 0], 0)):
        got = losses.cpc_accuracy(tf.constant(eye), tf.constant(eye[order]))
        assert float(got) == share
