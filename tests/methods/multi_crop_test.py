import numpy as np
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
