import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.methods.multi_crop import by_size


def test_each_view_gets_its_own_part_of_a_pass_over_its_size():
    sizes = (8, 8, 4, 4, 4)
    views = [tf.fill([2, size, size, 3], float(i + 1)) for i, size in enumerate(sizes)]
    calls = []

    def function(images):
        calls.append(images.shape[:2].as_list())
        return {"sum": tf.reduce_sum(images, [1, 2, 3]), "image": images}

    found = by_size(function, views)
    assert calls == [[4, 8], [6, 4]]
    for view, made in zip(views, found, strict=True):
        np.testing.assert_array_equal(made["image"], view)
        np.testing.assert_array_equal(made["sum"], tf.reduce_sum(view, [1, 2, 3]))


def test_what_stands_beside_a_view_goes_with_it():
    views = [tf.fill([2, size, size, 3], float(size)) for size in (8, 8, 4)]
    beside = [tf.constant([[i, 0], [i, 1]]) for i in range(3)]
    found = by_size(lambda images, rows: images[:, 0, 0, :1], views, beside)
    assert [made.shape[0] for made in found] == [2, 2, 2]
    found = by_size(lambda images, rows: rows, views, beside)
    np.testing.assert_array_equal(found, beside)
    assert by_size(lambda images, rows: rows, [], []) == []
    with pytest.raises(ValueError, match="zip"):
        by_size(lambda images, rows: rows, views, beside[:2])
