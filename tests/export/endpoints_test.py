import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ssl.data import decode
from keras_ssl.export.endpoints import Probe


def encoded(kind, mode="RGB"):
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (13, 9, 3), np.uint8)).convert(mode)
    file = io.BytesIO()
    pixels.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def servable():
    return tf.function(decode.servable, autograph=False)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("BMP", "P"),
    ],
)
def test_what_is_served_is_what_was_trained_on(servable, kind, mode):
    data = encoded(kind, mode)
    np.testing.assert_array_equal(servable(data), decode.image(tf.constant(data)))


def test_what_cannot_be_served_is_told(servable):
    def claims(at, dtype, start):
        sides = np.array([40000, 50000], dtype).tobytes()
        return start + bytes(at - len(start)) + sides + bytes(60)

    for data in (claims(18, "<i4", b"BM"), claims(6, "<u2", b"GIF89a")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Too many pixels"):
            servable(data)
    png = bytearray(encoded("PNG"))
    png[16:24] = np.array([40000, 50000], ">i4").tobytes()
    with pytest.raises(tf.errors.InvalidArgumentError, match="Too many pixels"):
        servable(bytes(png))
    for data in (b"", b"no image", encoded("WEBP")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="whole JPEG, PNG"):
            servable(data)


def test_logits_are_those_of_standardised_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    weights = rng.normal(size=(5, 3))
    mean, scale = rng.normal(size=4), rng.uniform(0, 2, 4)
    probe = Probe(weights, mean, scale, ("a", "b", "c"), {})
    want = ((x - mean) * scale) @ weights[:-1] + weights[-1]
    np.testing.assert_allclose(probe.logits(tf.constant(x)), want, rtol=1e-5, atol=1e-5)
