import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders import known_output
from keras_ssl.encoders.known_output import KnownOutput, difference, tolerance
from keras_ssl.encoders.resnet import SmallResNet


@pytest.fixture
def encoder():
    keras.utils.set_random_seed(0)
    made = SmallResNet(widths=(8, 16), blocks=(1, 1))
    made(tf.zeros([1, 32, 32, 3]))
    return made


def test_examples_are_always_the_same():
    images = known_output.examples("image", 32)
    assert (images.shape, images.dtype) == ((2, 32, 32, 3), np.float32)
    assert images.min() >= 0 and images.max() <= 1  # noqa: PT018
    steps = np.abs(np.diff(images, axis=2)).mean((1, 2, 3))
    assert steps[0] < 0.1 < steps[1]
    assert 0.27 < images[1].std() < 0.31  # As of a uniform number.
    # Exact in any library: whole numbers, then one division.
    np.testing.assert_array_equal(images[1, 0, 0] * 2**16, [0.0, 23825.0, 54524.0])
    waves = known_output.examples("audio", 500)
    assert (waves.shape, waves.dtype) == ((2, 500), np.float32)
    assert waves.min() < -0.9 and waves.max() > 0.9  # noqa: PT018
    assert np.abs(waves).max() <= 1


def test_it_changes_nothing_and_is_json(encoder):
    before = weights_file.digest(weights_file.values(named_variables(encoder)))
    known = KnownOutput(encoder, 32, "float32")
    first = json.loads(json.dumps(known()))
    assert first == known()
    assert np.shape(first["features"]) == (2, 16)
    assert before == weights_file.digest(weights_file.values(named_variables(encoder)))


def test_follows_the_weights_that_are_assigned_later(encoder, capsys):
    known = KnownOutput(encoder, 32, "float32")
    old = known()
    known.check(old, "w.npz")
    assert "w.npz: its known output came out again" in capsys.readouterr().err
    kernel = named_variables(encoder)["stem/conv/kernel"]
    kernel.assign(1.1 * kernel.value)
    kernel = named_variables(encoder)["stem/norm/gamma"]
    kernel.assign(1.1 * kernel.value)
    with pytest.raises(ValueError, match=r"w.npz: the weights loaded by name, but the"):
        known.check(old, "w.npz")
    known.check(None, "old.npz")
    assert "old.npz: has no known output" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_another_precision_is_rounding_and_another_weight_is_not(encoder, policy):
    old = KnownOutput(encoder, 32, "float32")()
    config = {**encoder.get_config(), "dtype": policy}
    half = SmallResNet.from_config(config)
    half(tf.zeros([1, 32, 32, 3]))
    half.set_weights(encoder.get_weights())
    known = KnownOutput(half, 32, policy)
    known.check(old, "w")
    # Nor does who computes in float32 what was stored in less.
    KnownOutput(encoder, 32, "float32").check(known(), "w")
    off = difference(np.array(known()["features"]), np.array(old["features"]))
    # In float32 it would be too much.
    assert off > tolerance("float32", "CPU") or policy == "mixed_float16"
    gamma = named_variables(half)["stem/norm/gamma"]
    gamma.assign(1.3 * gamma.value)
    with pytest.raises(ValueError, match="computes something else"):
        known.check(old, "w")


def test_the_coarser_of_precision_and_device_counts():
    at = [tolerance("float32", d) for d in ("CPU", "GPU", "TPU")]
    assert at == sorted(at)
    assert at[0] < tolerance("mixed_float16", "CPU") == at[1]
    assert tolerance("mixed_bfloat16", "GPU") == at[2] == tolerance("other", "CPU")


def test_differences():
    want = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert difference(want, want) == 0
    np.testing.assert_allclose(
        difference(np.add(want, [[0, 0.5], [0, 0]]), want), 0.5 / 5.41, 0.01
    )
    assert difference(np.zeros((2, 2)), np.zeros((2, 2))) == 0
    assert difference(want[:, :1], want) == np.inf
    spoilt = want.copy()
    spoilt[0, 0] = np.nan
    assert difference(want, spoilt) == np.inf == difference(spoilt, want)
    assert difference(spoilt, spoilt) == 0
