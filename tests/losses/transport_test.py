import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def scores(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def reference(scores, epsilon, num_iters):
    """In float64, prototypes first and samples last, as the paper's listing."""
    q = np.exp((scores - scores.max()) / epsilon).T
    for _ in range(num_iters):
        q /= q.sum(1, keepdims=True)
        q /= q.sum(0, keepdims=True)
    return q.T


@pytest.mark.parametrize("shape", [(12, 10), (3, 20), (40, 2), (1, 5)])
@pytest.mark.parametrize("num_iters", [1, 3, 50])
def test_sinkhorn_is_the_listing(shape, num_iters):
    x = scores(*shape)
    got = losses.sinkhorn(tf.constant(x), 0.05, num_iters)
    np.testing.assert_allclose(got, reference(x, 0.05, num_iters), 2e-4, 1e-6)
    np.testing.assert_allclose(tf.reduce_sum(got, 1), np.ones(shape[0]), rtol=1e-5)


def test_prototypes_are_used_equally_in_the_end():
    got = losses.sinkhorn(tf.constant(scores(12, 4)), 0.1, 200)
    np.testing.assert_allclose(tf.reduce_sum(got, 0), np.full(4, 3.0), rtol=1e-4)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_large_scores_neither_over_nor_underflow(scale):
    """Differences far beyond the range of exp in float32, and even float64."""
    x = scale * scores(8, 6)
    x[0] -= 10 * scale
    x[:, 1] -= 10 * scale
    got = losses.sinkhorn(tf.constant(x, tf.float32), 0.05, 3).numpy()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got.sum(1), np.ones(8), rtol=1e-4)
    # Adding to a row or column does not change what the scaling converges to.
    moved = losses.sinkhorn(tf.constant(x + 7.0, tf.float32), 0.05, 3)
    assert (np.argmax(moved, 1) == got.argmax(1)).all()


def test_leading_axes_are_solved_apart():
    x = tf.constant(scores(2, 9, 5))
    got = losses.sinkhorn(x)
    for one, whole in zip(x, got, strict=True):
        np.testing.assert_allclose(losses.sinkhorn(one), whole, rtol=1e-5)


def test_a_shared_queue_is_assigned_too():
    x, queue = scores(6, 4), scores(9, 4, seed=1)
    got = losses.sinkhorn(tf.constant(x), shared=tf.constant(queue))
    want = losses.sinkhorn(tf.constant(np.concatenate([x, queue])))[:6]
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert np.abs(got - losses.sinkhorn(tf.constant(x))).max() > 0.01


def test_usage_counts_preferred_prototypes():
    x = tf.one_hot([0, 3, 3, 0, 1], 6)
    np.testing.assert_allclose(losses.prototype_usage(x), 0.5)
    assert float(losses.prototype_usage(tf.eye(4))) == 1.0
