import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses

EYE = tf.eye(6)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_info_nce_at_chance_and_at_its_best(temperature):
    same = tf.fill([3, 4], 0.5)
    got = losses.info_nce(same, same, tf.fill([9, 4], 0.5), temperature)
    np.testing.assert_allclose(got, np.log(10), rtol=1e-5)
    got = losses.info_nce(EYE[:2], 7 * EYE[:2], EYE[2:], temperature)
    best = np.log(1 + 4 * np.exp(-1 / temperature))
    np.testing.assert_allclose(got, best, rtol=1e-4, atol=5e-7)


def test_keys_of_other_images_are_no_negatives():
    one = losses.info_nce(EYE[:1], EYE[:1], EYE[2:], 0.2)
    two = losses.info_nce(EYE[:2], EYE[:2], EYE[2:], 0.2)
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_info_nce_accuracy():
    keys = tf.stack([EYE[0], EYE[3], EYE[2], EYE[1]])
    got = losses.info_nce_accuracy(EYE[:4], keys, EYE[1:2])
    # The query 1 is itself in the queue; 3 has the same cosine with all: the first.
    assert float(got) == 0.75


def test_densecl_matches_on_features_of_the_encoder():
    """The views' positions are permuted: features say how, projections agree."""
    order = [2, 0, 1]
    maps, grid = EYE[None, :3], EYE[None, 3:]
    negatives = -EYE[3:]
    backwards = [tf.gather(x, order, axis=1) for x in (grid, maps)]
    right = losses.densecl(grid, backwards[0], maps, backwards[1], negatives, 0.2)
    wrong = losses.densecl(grid, backwards[0], maps, maps, negatives, 0.2)
    best = np.log(1 + np.exp(-5) * (2 + np.exp(-5)))
    np.testing.assert_allclose(right, best, rtol=1e-4)
    assert float(wrong) > 1


def test_densecl_and_info_nce_agree_on_one_position():
    q, k = (np.random.default_rng(s).normal(size=(5, 4)) for s in (0, 1))
    maps = tf.ones([5, 1, 2])
    dense = losses.densecl(q[:, None], k[:, None], maps, maps, tf.eye(4), 0.3)
    np.testing.assert_allclose(dense, losses.info_nce(q, k, tf.eye(4), 0.3), 1e-6)


def test_nnclr_takes_the_nearest_of_the_queue():
    near = 0.9 * EYE[:3] + 0.1 * EYE[3:]
    got = losses.nnclr(near, EYE[:3], EYE, 0.5)
    np.testing.assert_allclose(got, np.log(1 + 2 * np.exp(-2)), rtol=1e-5)
    # Without its own place in the queue, row 0 gets a neighbour that helps nothing.
    got = losses.nnclr(near, EYE[:3], EYE[1:], 0.5)
    best = np.log(1 + 2 * np.exp(-2))
    np.testing.assert_allclose(got, (np.log(3) + 2 * best) / 3, rtol=1e-5)


def test_ressl_is_the_entropy_of_the_teacher_once_they_agree():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 6)), tf.float32)
    got = losses.ressl(x, 2 * x, EYE, 0.1, 0.1)
    cosines = tf.math.l2_normalize(x, -1)
    np.testing.assert_allclose(
        got, losses.teacher_entropy(cosines, temperature=0.1), rtol=1e-5
    )
    assert float(losses.ressl(-x, x, EYE, 0.1, 0.1)) > float(got)
    uniform = losses.ressl(tf.zeros([5, 6]), x, EYE)
    np.testing.assert_allclose(uniform, np.log(6), rtol=1e-5)
