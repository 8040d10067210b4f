import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_distillation_is_the_entropy_once_they_agree():
    x = normal(5, 7)
    for temperature in (0.5, 1.0, 4.0):
        got = losses.distillation(x, x + 3.0, temperature)
        want = losses.teacher_entropy(x, temperature=temperature)
        np.testing.assert_allclose(got, temperature**2 * want, rtol=1e-5)


@pytest.mark.parametrize("crops", [2, 5])
def test_dino_is_the_mean_over_pairs_of_different_crops(crops):
    student, teacher, center = normal(crops, 4, 6), normal(2, 4, 6), normal(1, 6)
    got = losses.dino(student, teacher, center, 0.2, 0.1)
    q = tf.nn.softmax((teacher - center) / 0.1)
    pairs = [
        -tf.reduce_mean(tf.reduce_sum(q[i] * tf.nn.log_softmax(student[v] / 0.2), -1))
        for i in range(2)
        for v in range(crops)
        if v != i
    ]
    np.testing.assert_allclose(got, np.mean(pairs), rtol=1e-5)


def test_dino_starts_at_chance_and_ends_at_the_entropy():
    teacher, center = normal(1, 4, 6), normal(1, 6)
    flat = losses.dino(tf.zeros([3, 4, 6]), tf.tile(teacher, [2, 1, 1]), center)
    np.testing.assert_allclose(flat, np.log(6), rtol=1e-5)
    both = tf.tile(teacher, [2, 1, 1])
    agreed = losses.dino(both - center, both, center, 0.3, 0.3)
    entropy = losses.teacher_entropy(both, center, 0.3)
    np.testing.assert_allclose(agreed, entropy, rtol=1e-5)


def ibot(masks, **options):
    return losses.ibot(
        normal(3, 4, 6),
        normal(2, 4, 5, 7, seed=1),
        normal(2, 4, 6, seed=2),
        normal(2, 4, 5, 7, seed=3),
        masks,
        normal(1, 6),
        normal(1, 1, 7),
        **options,
    )


def test_ibot_without_hidden_patches_is_dino():
    got = ibot(tf.zeros([2, 4, 5]))
    want = losses.dino(normal(3, 4, 6), normal(2, 4, 6, seed=2), normal(1, 6))
    np.testing.assert_allclose(got["loss"], want, rtol=1e-6)
    assert float(got["patch"]) == 0.0


def test_ibot_images_weigh_the_same_whatever_they_hide():
    one = np.zeros([2, 4, 5])
    one[0, 0, 2] = 1
    two = np.zeros([2, 4, 5], bool)
    two[0, 1, :3] = True
    first, second = (float(ibot(tf.constant(m))["patch"]) for m in (one, two))
    both = ibot(tf.constant(one + two))["patch"]
    np.testing.assert_allclose(both, first + second, rtol=1e-5)
    assert first > 0 < second


def test_ibot_weights_its_terms():
    masks = tf.ones([2, 4, 5])
    plain, weighted = ibot(masks), ibot(masks, lambda1=0.5, lambda2=3.0)
    np.testing.assert_allclose(weighted["cls"], 0.5 * plain["cls"], rtol=1e-6)
    np.testing.assert_allclose(weighted["patch"], 3.0 * plain["patch"], rtol=1e-6)
    np.testing.assert_allclose(
        weighted["loss"], weighted["cls"] + weighted["patch"], rtol=1e-6
    )


def test_ibot_masks_are_of_patches():
    with pytest.raises(ValueError, match=r"first 3 sizes, got \(2, 4, 6\)"):
        ibot(tf.zeros([2, 4, 6]))


@pytest.mark.parametrize("shape", [(6,), (1, 6), (1, 1, 6)])
def test_a_center_may_be_a_variable_of_any_rank(shape):
    center, logits = keras.Variable(np.ones(shape), dtype="float32"), normal(2, 4, 6)
    got = losses.update_center(center, logits, 0.75)
    want = 0.75 + 0.25 * np.mean(logits, axis=(0, 1))
    np.testing.assert_allclose(got, want.reshape(shape), rtol=1e-5)
    assert np.isfinite(losses.dino(logits, logits, center))


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_momentum_is_a_share(momentum):
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got"):
        losses.update_center(normal(1, 6), normal(4, 6), momentum)


def test_entropy_tells_the_two_collapses():
    same = losses.teacher_entropy(tf.zeros([4, 8]))
    np.testing.assert_allclose(same, np.log(8), rtol=1e-6)
    certain = losses.teacher_entropy(100.0 * tf.eye(8))
    np.testing.assert_allclose(certain, 0.0, atol=1e-6)
