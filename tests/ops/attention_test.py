import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops


def test_the_fewest_that_hold_a_share():
    weights = tf.constant([[[0.1, 0.4, 0.2, 0.3]], [[0.0, 0.0, 1.0, 0.0]]])
    for share, want in ((0.4, [0, 1, 0, 0]), (0.6, [0, 1, 0, 1]), (1.0, [1, 1, 1, 1])):
        np.testing.assert_array_equal(ops.smallest_set(weights, share)[0, 0], want)
    np.testing.assert_array_equal(ops.smallest_set(weights, 0.9)[1, 0], [0, 0, 1, 0])
    np.testing.assert_array_equal(ops.smallest_set(tf.zeros([3]), 0.6), [1, 0, 0])
    with pytest.raises(ValueError, match="share"):
        ops.smallest_set(weights, 0.0)


def test_pictures_show_patches_where_they_are():
    images = tf.random.stateless_uniform([2, 4, 6, 3], [0, 1])
    attention = np.zeros([2, 2, 7, 7], np.float32)
    attention[:, 0, 0, 1:] = [0.5, 0.25, 0, 0, 0, 0]
    attention[:, 1, 0, 1:] = [0.7, 0, 0, 0, 0, 0.3]
    drawn = ops.attention_pictures(images, tf.constant(attention), 2)
    assert list(drawn) == ["image", "head 1", "head 2", "60%"]
    assert all(x.shape == (2, 4, 6, 3) for x in drawn.values())
    first = np.zeros([4, 6])
    first[:2, :2], first[:2, 2:4] = 1.0, 0.5
    np.testing.assert_array_equal(drawn["head 1"][0, :, :, 0], first)
    # 0.6 of 1.75 / 2 is in the first patch alone.
    light = np.where(first == 1.0, 1.0, 0.15)[..., None]
    np.testing.assert_allclose(drawn["60%"], images * light, rtol=1e-6)
