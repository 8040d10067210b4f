import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_wmse_ignores_scales_and_shifts_of_features():
    x, y = normal(20, 4), normal(20, 4, seed=1)
    want = losses.wmse(x, y)
    scales = tf.constant([0.1, 2.0, 5.0, 30.0])
    np.testing.assert_allclose(losses.wmse(scales * x + 3.0, y), want, rtol=1e-3)
    np.testing.assert_allclose(losses.wmse(scales * x, x), 0.0, atol=1e-4)


def test_wmse_of_unrelated_views_is_chance():
    got = losses.wmse(normal(4000, 8), normal(4000, 8, seed=1))
    np.testing.assert_allclose(got, 2.0, rtol=0.02)


def test_a_collapsed_view_is_far_away():
    """Features that are nearly the same differ by all that whitening blows up."""
    x = normal(50, 3)
    flat = 1e-3 * normal(50, 3, seed=1) + tf.ones([50, 3])
    assert float(losses.wmse(x, flat)) > 1.5


def test_too_few_rows_are_told_beforehand():
    with pytest.raises(ValueError, match="at least 5 rows, got 4"):
        losses.wmse(normal(4, 4), normal(4, 4))
    assert np.isfinite(losses.wmse(normal(4, 4), normal(4, 4, seed=1), 0.1))


@pytest.mark.parametrize("eps", [-0.1, 1.5])
def test_eps_is_a_share(eps):
    with pytest.raises(ValueError, match=r"eps must be in \[0, 1\], got"):
        losses.wmse(normal(9, 2), normal(9, 2), eps)
