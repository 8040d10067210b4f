import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_swav_at_chance_and_at_its_best():
    np.testing.assert_allclose(
        losses.swav(tf.zeros([8, 5]), tf.zeros([8, 5])), np.log(5), rtol=1e-5
    )
    eye = tf.tile(tf.eye(4), [2, 1])
    assert float(losses.swav(eye, eye)) < 1e-3
    assert float(losses.swav(eye, tf.roll(eye, 1, axis=0))) > 5


def test_multicrop_of_two_is_swav():
    x, y = normal(6, 4), normal(6, 4, seed=1)
    want = losses.swav(x, y)
    np.testing.assert_allclose(losses.swav_multicrop(tf.stack([x, y])), want, 1e-6)


def test_multicrop_is_the_mean_over_pairs():
    x = normal(4, 6, 5)
    pairs = []
    for i in (0, 2):
        q = losses.sinkhorn(x[i])
        pairs += [
            -tf.reduce_mean(tf.reduce_sum(q * tf.nn.log_softmax(x[v] / 0.1), -1))
            for v in range(4)
            if v != i
        ]
    got = losses.swav_multicrop(x, [0, 2])
    np.testing.assert_allclose(got, np.mean(pairs), rtol=1e-5)
    given = tf.stack([losses.sinkhorn(x[0]), losses.sinkhorn(x[2])])
    np.testing.assert_allclose(losses.swapped_prediction(x, given, (0, 2)), got, 1e-6)


@pytest.mark.parametrize("crops", [(), (0, 0), (3,), (-1,)])
def test_crops_must_exist_once(crops):
    with pytest.raises(ValueError, match="some of 0 to 2, each once, got"):
        losses.swav_multicrop(normal(3, 4, 5), crops)


def test_one_crop_has_no_other():
    with pytest.raises(ValueError, match="at least 2 crops, got 1"):
        losses.swav_multicrop(normal(1, 4, 5), (0,))


def test_deepcluster_leaves_out_rows_without_a_cluster():
    scores = normal(4, 3)
    got = losses.deepcluster_v2(scores, tf.constant([2, -1, 0, -100]), 0.5)
    known = losses.deepcluster_v2(tf.gather(scores, [0, 2]), tf.constant([2, 0]), 0.5)
    np.testing.assert_allclose(got, known, rtol=1e-6)
    assert float(losses.deepcluster_v2(scores, tf.fill([4], -1))) == 0.0
    chance = losses.deepcluster_v2(tf.zeros([4, 3]), tf.constant([0, 1, 2, -1]))
    np.testing.assert_allclose(chance, np.log(3), rtol=1e-6)


def test_msn_of_equal_and_of_balanced_assignments():
    eye = tf.eye(5)
    balanced = losses.msn(eye, eye, eye, 0.01)
    np.testing.assert_allclose(balanced["me_max"], 0.0, atol=1e-5)
    np.testing.assert_allclose(balanced["cross_entropy"], 0.0, atol=1e-5)
    same = tf.repeat(eye[:1], 5, axis=0)
    collapsed = losses.msn(same, same, eye, 0.01, me_max_weight=2.0)
    np.testing.assert_allclose(collapsed["me_max"], np.log(5), rtol=1e-4)
    np.testing.assert_allclose(collapsed["loss"], 2 * np.log(5), rtol=1e-4)


def test_msn_anchors_are_view_major():
    eye = tf.eye(4)
    got = losses.msn(tf.concat([eye, eye], 0), eye, eye)["cross_entropy"]
    np.testing.assert_allclose(got, losses.msn(eye, eye, eye)["cross_entropy"], 1e-6)
    mixed = losses.msn(tf.repeat(eye, 2, axis=0), eye, eye)["cross_entropy"]
    assert float(mixed) > 2


def test_msn_anchors_must_be_whole_views():
    with pytest.raises(ValueError, match=r"whole views .* \(5, 3\) .* \(2, 3\)"):
        losses.msn(normal(5, 3), normal(2, 3), normal(4, 3))
