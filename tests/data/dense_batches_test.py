import numpy as np
import tensorflow as tf

from keras_ssl.data.dense_batches import dense_batches, nearest, stretched
from keras_ssl.data.sources import open_source


def test_whole_images_are_stretched():
    image = np.zeros((1, 4, 8, 3), np.uint8)
    image[:, :, :4] = 255
    got = stretched(tf.constant(image), 4)
    assert got.shape == (1, 4, 4, 3)
    np.testing.assert_allclose(got[0, :, 0, 0], 1.0)
    np.testing.assert_allclose(got[0, :, 3, 0], 0.0)
    same = tf.constant(image[:, :, 2:6])
    np.testing.assert_array_equal(stretched(same, 4) * 255, same)


def test_each_pixel_of_a_truth_is_the_nearest_ones():
    mask = tf.constant([[1, 1, 2, 2], [3, 3, 255, 255]])
    np.testing.assert_array_equal(nearest(mask, 2, 2), [[1, 2], [3, 255]])
    assert nearest(mask, 4, 8).dtype == tf.int32
    np.testing.assert_array_equal(
        nearest(mask[None], 4, 4)[0, :2], mask.numpy()[[0, 0]]
    )


def test_images_and_truths_come_together():
    source = open_source("embedded:32?truth=boxes", "test[:20]")
    found = list(dense_batches(source, "boxes", 16, 3, limit=7))
    index = np.concatenate([index for index, _, _ in found])
    np.testing.assert_array_equal(index, np.linspace(0, 19, 7).astype(int))
    assert [len(truths) for _, _, truths in found] == [3, 3, 1]
    for rows, images, truths in found:
        assert images.shape == (len(rows), 16, 16, 3)
        for i, (boxes, classes) in zip(rows, truths, strict=True):
            assert boxes.shape == (1, 4)
            assert int(classes[0]) == source.labels[i]
