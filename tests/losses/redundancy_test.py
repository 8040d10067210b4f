import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def white(n, d):
    """Centred columns of variance 1 (biased) without correlation."""
    x = np.random.default_rng(0).normal(size=(n, d))
    q, _ = np.linalg.qr(x - x.mean(0))
    return tf.constant(q * np.sqrt(n), tf.float32)


def test_barlow_twins_of_white_views():
    z = white(20, 4)
    np.testing.assert_allclose(losses.barlow_twins(z, z), 0.0, atol=1e-8)
    np.testing.assert_allclose(losses.barlow_twins(z, -z), 16.0, rtol=1e-4)
    np.testing.assert_allclose(losses.barlow_twins(3 * z + 7, z - 2), 0.0, atol=1e-6)


def test_barlow_twins_of_one_repeated_feature():
    z = tf.tile(white(20, 1), [1, 4])
    np.testing.assert_allclose(losses.barlow_twins(z, z, 0.5), 6.0, rtol=1e-3)


def test_correlations_are_those_of_numpy():
    x, y = normal(30, 3), normal(30, 3, seed=1)
    got = losses.cross_correlation(x, y, 0.0)
    want = np.corrcoef(x, y, rowvar=False)[:3, 3:]
    np.testing.assert_allclose(got, want, 1e-4, 1e-6)
    means = losses.correlation_means(got)
    np.testing.assert_allclose(means["diagonal"], np.diag(want).mean(), rtol=1e-4)
    others = np.abs(want[~np.eye(3, dtype=bool)]).mean()
    np.testing.assert_allclose(means["off_diagonal"], others, rtol=1e-4)
    np.testing.assert_allclose(
        losses.correlation_loss(got, 0.1), losses.barlow_twins(x, y, 0.1, 0.0), 1e-6
    )


def test_one_feature_has_no_others():
    means = losses.correlation_means(tf.ones([1, 1]))
    assert (float(means["diagonal"]), float(means["off_diagonal"])) == (1.0, 0.0)


def test_vicreg_of_white_and_of_collapsed_views():
    z = 2 * white(20, 4)
    assert all(abs(float(v)) < 1e-6 for v in losses.vicreg(z, z).values())
    same = tf.ones([20, 4])
    found = losses.vicreg(same, same)
    np.testing.assert_allclose(found["variance"], 0.99, rtol=1e-5)
    assert float(found["covariance"]) == float(found["invariance"]) == 0.0
    np.testing.assert_allclose(found["loss"], 25 * 0.99, rtol=1e-5)


def test_vicreg_covariance_is_that_of_numpy():
    x, y = normal(15, 3), normal(15, 3, seed=1)
    want = 0
    for z in (x, y):
        c = np.cov(z, rowvar=False)
        want += (c**2).sum() - (np.diag(c) ** 2).sum()
    got = losses.vicreg(x, y)["covariance"]
    np.testing.assert_allclose(got, want / 3, rtol=1e-5)


def test_vicreg_needs_two_rows():
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        losses.vicreg(normal(1, 3), normal(1, 3))
