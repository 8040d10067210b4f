import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ssl.data.short_side import short_side
from tests import harness


@pytest.mark.parametrize(("height", "width"), [(40, 61), (90, 33), (20, 20)])
def test_as_pillow_does(height, width):
    image = tf.image.resize(harness.images(1, 96), [height, width])
    image = tf.cast(image, tf.uint8)
    got = short_side(image, 32)[0]
    scale = 32 / min(height, width)
    sides = round(height * scale), round(width * scale)
    whole = Image.fromarray(image[0].numpy()).resize(sides[::-1], Image.BICUBIC)
    top, left = (side - 32 >> 1 for side in sides)
    want = np.asarray(whole)[top : top + 32, left : left + 32] / 255
    assert got.shape == (32, 32, 3)
    np.testing.assert_allclose(got, want, atol=1.6 / 255)


def test_images_of_the_size_stay():
    images = harness.images(2, 32)
    want = tf.image.convert_image_dtype(images, tf.float32)
    np.testing.assert_array_equal(short_side(images, 32), want)
    wide = tf.concat([images[:, :, :8], images, images[:, :, -8:]], axis=2)
    np.testing.assert_array_equal(short_side(wide, 32), want)
