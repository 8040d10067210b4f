"""What holds of every loss: float32, finite, compiled, and clear about its errors."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from tests.losses.cases import CASES

# Compares pictures with patches, or its shape is that of turns: see their own tests.
OTHERS = {"mae", "patch_statistics", "rotation", "rotation_accuracy"}
# Needs a matrix that is there, which the case of its maker gives.
OF_MATRICES = {"correlation_loss", "correlation_means"}
# Clusters may be as many as one likes.
FREE = {("deepcluster_v2", "scores")}


def tensors(case, dtype=None):
    found = {}
    for name, x in case.arrays.items():
        x = tf.constant(x)
        found[name] = tf.cast(x, dtype) if dtype and x.dtype.is_floating else x
    return found


def test_every_loss_has_a_case():
    assert set(losses.__all__) - OTHERS - OF_MATRICES <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_compiled_it_is_the_same(name):
    case = CASES[name]
    want, want_gradients = case.measure(tensors(case))
    got, gradients = tf.function(case.measure, jit_compile=True)(tensors(case))
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, 2e-5, 2e-6, err_msg=key)
    for key, value in want_gradients.items():
        bound = 2e-5 * max(np.abs(value).max(), 1e-3)
        np.testing.assert_allclose(gradients[key], value, 2e-4, bound, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_half_precision_is_computed_in_float32(name):
    case = CASES[name]
    half = tensors(case, tf.bfloat16)
    got, gradients = case.measure(half)
    want, _ = case.measure(
        {k: tf.cast(x, tensors(case)[k].dtype) for k, x in half.items()}
    )
    for key, value in got.items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, want[key], 1e-5, 1e-6, err_msg=key)
    for key, value in gradients.items():
        assert value.dtype == tf.bfloat16
        assert np.isfinite(tf.cast(value, tf.float32)).all(), key


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"wmse"}))
def test_zero_vectors_have_finite_gradients(name):
    case = CASES[name]
    zeros = {k: tf.zeros_like(x) for k, x in tensors(case).items()}
    outputs, gradients = case.measure(zeros)
    for key, value in (outputs | gradients).items():
        assert np.isfinite(value).all(), key


def parameters(*names):
    """Cases and their arguments that end with one of the names."""
    return [
        (name, key)
        for name, case in CASES.items()
        for key in inspect.signature(getattr(losses, name, case.function)).parameters
        if key.endswith(names)
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    parameters(
        "temperature", "epsilon", "num_iters", "margin", "num_noise", "num_instances"
    ),
)
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_numbers_must_be_positive(name, key, value):
    case = CASES[name]
    with pytest.raises(ValueError, match=f"{key} must be positive, got {value}"):
        case.function(**tensors(case), **{key: value})


@pytest.mark.parametrize(
    ("name", "key"), parameters("lambd", "coeff", "lambda1", "lambda2")
)
def test_weights_must_not_be_negative(name, key):
    case = CASES[name]
    with pytest.raises(ValueError, match=f"{key} must not be negative, got -1"):
        case.function(**tensors(case), **{key: -1.0})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name, case in CASES.items()
        for key in case.arrays
        if len(case.arrays) > 1 and (name, key) not in FREE
    ],
)
def test_shapes_must_fit(name, key):
    case = CASES[name]
    args = tensors(case)
    args[key] = tf.concat([args[key], args[key][..., :1]], axis=-1)
    with pytest.raises(ValueError, match="must") as error:
        case.function(**args)
    shape = str(args[key].shape[-1])
    assert shape in str(error.value)


@pytest.mark.parametrize(
    "name", ["dino", "swav", "info_nce", "moco_v3", "distillation"]
)
def test_a_temperature_may_be_a_tensor(name):
    """Schedules give one inside a compiled step."""
    case = CASES[name]
    keys = [k for n, k in parameters("temperature") if n == name]

    @tf.function
    def call(value):
        return case.function(**tensors(case), **dict.fromkeys(keys, value))

    want = case.function(**tensors(case), **dict.fromkeys(keys, 0.3))
    np.testing.assert_allclose(call(tf.constant(0.3)), want, rtol=1e-6)
