"""MAE's loss beside its golden vectors: limits, errors, and uneven masks."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses, ops


def case(n=3, size=8, patch=4):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(size=(n, size, size, 3)), tf.float32)
    return images, ops.patchify(images, patch)


def test_only_hidden_patches_count():
    images, patches = case()
    mask = tf.constant([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]], tf.float32)
    wrong_where_seen = patches + 9.0 * (1 - mask[..., None])
    assert losses.mae(wrong_where_seen, images, mask, 4) == 0
    wrong = patches + 2.0 * mask[..., None]
    np.testing.assert_allclose(losses.mae(wrong, images, mask, 4), 4.0, rtol=1e-5)


def test_nothing_hidden_is_no_loss():
    images, patches = case()
    assert losses.mae(patches + 1, images, tf.zeros([3, 4]), 4) == 0


def test_normalised_targets_are_found_again():
    images, patches = case()
    mean, deviation = losses.patch_statistics(patches)
    perfect = (patches - mean) / deviation
    loss = losses.mae(perfect, images, tf.ones([3, 4]), 4, norm_pix_loss=True)
    np.testing.assert_allclose(loss, 0, atol=1e-10)
    # Predicting the mean: all of the unbiased variance is left.
    blank = losses.mae(tf.zeros_like(patches), images, tf.ones([3, 4]), 4, True)
    np.testing.assert_allclose(blank, 47 / 48, rtol=1e-3)


def test_a_flat_patch_has_finite_gradients():
    images = tf.ones([2, 8, 8, 3])
    with tf.GradientTape() as tape:
        prediction = tf.zeros([2, 4, 48])
        tape.watch(prediction)
        loss = losses.mae(prediction, images, tf.ones([2, 4]), 4, norm_pix_loss=True)
    assert np.all(np.isfinite(tape.gradient(loss, prediction)))


def test_other_patches_than_the_images():
    images, _ = case()
    with pytest.raises(ValueError, match="prediction is"):
        losses.mae(tf.zeros([3, 4, 12]), images, tf.ones([3, 4]), 4)
