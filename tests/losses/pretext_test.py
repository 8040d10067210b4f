"""The loss of RotNet: chance, certainty, and which turn is which."""

import numpy as np
import tensorflow as tf

from keras_ssl import losses


def test_chance():
    logits = tf.zeros([5, 4, 4])
    np.testing.assert_allclose(losses.rotation(logits), np.log(4), rtol=1e-6)


def test_the_right_turns_are_their_own_numbers():
    sure = tf.tile(100.0 * tf.eye(4)[None], [3, 1, 1])
    np.testing.assert_allclose(losses.rotation(sure), 0, atol=1e-6)
    assert losses.rotation_accuracy(sure) == 1
    # One turn of four taken for the next one.
    wrong = tf.gather(sure, [1, 1, 2, 3], axis=1)
    assert losses.rotation_accuracy(wrong) == 0.75
    np.testing.assert_allclose(losses.rotation(wrong), 25, rtol=1e-5)
