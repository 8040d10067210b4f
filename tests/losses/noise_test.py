import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


@pytest.mark.parametrize(("n", "m"), [(10, 1), (500, 20)])
def test_a_model_that_knows_nothing(n, m):
    """All probabilities are 1 / n: one of m + 1 is the instance's own."""
    got = losses.nce(tf.fill([4], 1 / n), tf.fill([4, m], 1 / n), n, m)
    want = np.log(m + 1) + m * np.log((m + 1) / m)
    np.testing.assert_allclose(got, want, rtol=1e-3)


def test_a_certain_model_costs_little():
    got = losses.nce(tf.ones([3]), tf.zeros([3, 5]), 10**6, 5)
    np.testing.assert_allclose(got, 5e-6 + 5 * 1e-7 / 5e-6, rtol=0.05)


def test_noise_must_be_as_many_as_told():
    with pytest.raises(ValueError, match=r"\(n, num_noise\) = \(n, 4\), got \(3, 5\)"):
        losses.nce(tf.ones([3]), tf.ones([3, 5]), 10, 4)
