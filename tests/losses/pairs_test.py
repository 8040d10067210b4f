import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def vectors(n=5, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, n, d)).astype(np.float32)


@pytest.mark.parametrize("margin", [0.5, 1.0, 4.0])
def test_dissimilar_pairs_against_plain_loops(margin):
    z1, z2 = vectors()
    related = np.random.default_rng(1).uniform(size=(5, 5)) < 0.4
    terms, apart = [], []
    for i in range(5):
        for j in range(5):
            if not related[i, j]:
                apart.append(np.linalg.norm(z1[i] - z2[j]))
                terms.append(0.5 * max(0.0, margin - apart[-1]) ** 2)
    loss, distance = losses.dissimilar_pairs(z1, tf.constant(z2), related, margin)
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-5)
    np.testing.assert_allclose(distance, np.mean(apart), rtol=1e-5)


def test_it_is_the_loss_of_pairs_that_are_labelled_dissimilar():
    z1, z2 = vectors()
    i, j = np.nonzero(~np.eye(5, dtype=bool))
    pairs = losses.contrastive_pair(z1[i], tf.constant(z2[j]), np.ones(20), 2.0)
    loss, _ = losses.dissimilar_pairs(
        tf.constant(z1), tf.constant(z2), np.eye(5, dtype=bool), 2.0
    )
    np.testing.assert_allclose(loss, pairs, rtol=1e-6)


def test_gradients_are_finite_where_vectors_meet():
    z = tf.zeros([4, 3])
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss, _ = losses.dissimilar_pairs(z, z, tf.eye(4) > 0, 1.0)
    np.testing.assert_allclose(loss, 0.5, rtol=1e-5)
    assert np.isfinite(tape.gradient(loss, z)).all()


def test_nothing_is_left_where_all_are_related():
    z1, z2 = map(tf.constant, vectors())
    loss, distance = losses.dissimilar_pairs(z1, z2, tf.ones([5, 5], tf.bool))
    assert float(loss) == float(distance) == 0.0


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_margins_are_positive(margin):
    z1, z2 = map(tf.constant, vectors())
    with pytest.raises(ValueError, match="margin must be positive"):
        losses.dissimilar_pairs(z1, z2, tf.eye(5) > 0, margin)
    with pytest.raises(ValueError, match="margin must be positive"):
        losses.contrastive_pair(z1, z2, tf.zeros(5), margin)


def test_shapes_agree():
    z1, z2 = map(tf.constant, vectors())
    with pytest.raises(ValueError, match="must have the same shape"):
        losses.dissimilar_pairs(z1, z2[:, :2], tf.eye(5) > 0)
    with pytest.raises(ValueError, match="must have the same shape"):
        losses.contrastive_pair(z1, z2[:, :2], tf.zeros(5))
