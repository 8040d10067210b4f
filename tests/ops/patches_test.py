"""Patches, masks and turns beside their golden vectors: errors and round trips."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops


def images(height=8, width=8):
    rng = np.random.default_rng(0)
    return tf.constant(rng.uniform(size=(2, height, width, 3)), tf.float32)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 12), (4, 16)])
def test_patches_come_together_again(height, width):
    x = images(height, width)
    patches = ops.patchify(x, 4)
    assert patches.shape == (2, height * width // 16, 48)
    whole = ops.unpatchify(patches, 4, (height // 4, width // 4))
    np.testing.assert_array_equal(whole, x)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="multiple of it"):
        ops.patchify(images(9, 8), 4)
    with pytest.raises(ValueError, match="Say the grid"):
        ops.unpatchify(ops.patchify(images(8, 12), 4), 4)


@pytest.mark.parametrize(("length", "ratio", "kept"), [(64, 0.75, 16), (10, 0.9, 0)])
def test_masks_hide_a_share(length, ratio, kept):
    noise = tf.random.stateless_uniform([3, length], [0, 1])
    keep, mask, restore = ops.random_masking_from_noise(noise, ratio)
    assert keep.shape == (3, kept)
    np.testing.assert_array_equal(np.sum(mask, 1), length - kept)
    # What is kept is not hidden, and goes back where it came from.
    np.testing.assert_array_equal(tf.gather(mask, keep, batch_dims=1), 0)
    places = tf.gather(restore, keep, batch_dims=1)
    np.testing.assert_array_equal(places, np.tile(np.arange(kept), (3, 1)))


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_a_ratio_out_of_range(ratio):
    with pytest.raises(ValueError, match="mask_ratio"):
        ops.random_masking_from_noise(tf.zeros([1, 4]), ratio)


def test_turns_add_up():
    x = images()
    for k in range(-2, 6):
        np.testing.assert_array_equal(
            ops.rotate_quarter(x, k), np.rot90(x, k, axes=(1, 2))
        )
    np.testing.assert_array_equal(
        ops.rotate_quarter(x, tf.constant([1, 6]))[1], np.rot90(x[1], 2)
    )


def test_only_square_images_turn_one_by_one():
    with pytest.raises(ValueError, match="square"):
        ops.rotate_quarter(images(8, 4), tf.constant([1, 0]))


def test_hidden_patches_are_grey_and_the_others_as_they_were():
    x = images(8, 12)
    mask = np.zeros([len(x), 6], "float32")
    mask[:, 4] = 1
    got = ops.hide_patches(x, tf.constant(mask), 4).numpy()
    np.testing.assert_array_equal(got[:, 4:, 4:8], np.full_like(got[:, 4:, 4:8], 0.5))
    got[:, 4:, 4:8] = x[:, 4:, 4:8]
    np.testing.assert_array_equal(got, x)
