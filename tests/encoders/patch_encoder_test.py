import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import tracing, weights_file
from keras_ssl.encoders.patch_encoder import PatchEncoder
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.runs import encoders
from tests import harness


def tiny(norm="layer", **options):
    inner = SmallResNet((1, 1), (8, 16), norm=norm)
    return PatchEncoder(inner, **{"patch_size": 8, **options})


def images(n=3, size=32):
    return tf.cast(harness.images(n, size), tf.float32) / 255.0


@pytest.mark.parametrize(("size", "stride"), [(8, 4), (8, 8), (7, 5), (32, 1)])
def test_patches_are_windows(size, stride):
    pixels = images()
    patches = ops.overlapping_patches(pixels, size, stride).numpy()
    count = (32 - size) // stride + 1
    assert patches.shape == (3, count, count, size, size, 3)
    for r, c in np.ndindex(count, count):
        y, x = r * stride, c * stride
        np.testing.assert_array_equal(
            patches[:, r, c], pixels[:, y : y + size, x : x + size]
        )


def test_too_small_images_are_refused():
    with pytest.raises(
        ValueError, match="32 x 32 pixels are smaller than a patch of 33"
    ):
        ops.overlapping_patches(images(), 33, 8)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_patches_do_not_meet(norm):
    encoder, pixels = tiny(norm, stride=8), images()
    before, valid = encoder.latents(pixels, training=True)
    assert before.shape == (3, 4, 4, 16)
    assert np.all(valid.numpy() == 1)
    changed = pixels.numpy()
    changed[1, 8:16, 16:24] = 0.5
    after, _ = encoder.latents(changed, training=True)
    moved = np.abs(after - before).max(-1) > 1e-6
    np.testing.assert_array_equal(np.argwhere(moved), [[1, 1, 2]])


def test_batch_norm_is_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr("keras_ssl.core.console.say", said.append)
    tiny("layer")
    assert not said
    tiny("batch")
    assert "has batch norm, through which the patches" in said[0]


def test_features_are_means_over_patches():
    encoder, pixels = tiny(), images()
    features, (latents, _) = encoder(pixels), encoder.latents(pixels)
    assert features.shape == (3, encoder.feature_dim)
    want = tf.reduce_mean(latents, [1, 2])
    np.testing.assert_allclose(features, want, rtol=1e-5)
    # Any size of images that has room for a patch.
    assert encoder(images(2, 45)).shape == (2, 16)


def test_is_made_again_from_its_record():
    encoder = tiny(stride=5)
    want = encoder(images())
    record = {
        "name": "PatchEncoder",
        "config": encoder.get_config(),
        "image_size": 32,
        "precision": "float32",
    }
    again = encoders.build(record)
    values = weights_file.values(tracing.named_variables(encoder))
    weights_file.assign(tracing.named_variables(again), values, "itself")
    np.testing.assert_array_equal(again(images()), want)
    half = encoders.build({**record, "precision": "mixed_bfloat16"})
    assert half.encoder.compute_dtype == "bfloat16"


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="must be positive, got 8 and 0"):
        tiny(stride=0)
