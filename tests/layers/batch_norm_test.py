import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.layers.batch_norm import BatchNorm

SHAPES = [(16, 5), (6, 4, 3, 5), (6, 7, 5)]


@pytest.fixture(params=["fused", "replicas"])
def path(request, monkeypatch):
    """Both ways to compute; the second one meets no other replica here."""
    if request.param == "replicas":
        monkeypatch.setattr(distribute, "replicas", lambda: 2)


def data(shape, seed=0):
    """Inputs away from 0, and the gradient that arrives at the outputs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, shape) * np.linspace(0.5, 2, shape[-1])
    return x.astype(np.float32), rng.normal(size=shape).astype(np.float32)


def layer(shape, seed=1, **options):
    made = BatchNorm(**options)
    made.build((None, *shape[1:]))
    rng = np.random.default_rng(seed)
    for weight in (made.gamma, made.beta):
        if weight is not None:
            weight.assign(rng.uniform(0.5, 2.0, shape[-1]))
    made.moving_mean.assign(rng.normal(size=shape[-1]))
    made.moving_variance.assign(rng.uniform(0.5, 2.0, shape[-1]))
    return made


def statistics(x):
    rows = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0)


def reference(x, dy, made):
    """Outputs and gradients of a training step in float64."""
    rows, arriving = (v.astype(np.float64).reshape(-1, v.shape[-1]) for v in (x, dy))
    gamma = 1.0 if made.gamma is None else made.gamma.numpy().astype(np.float64)
    beta = 0.0 if made.beta is None else made.beta.numpy().astype(np.float64)
    mean, variance = statistics(x)
    scale = 1 / np.sqrt(variance + made.epsilon)
    hat = (rows - mean) * scale
    through = arriving - arriving.mean(0) - hat * (arriving * hat).mean(0)
    return {
        "y": (gamma * hat + beta).reshape(x.shape),
        "x": (gamma * scale * through).reshape(x.shape),
        "gamma": (arriving * hat).sum(0),
        "beta": arriving.sum(0),
    }


def close(got, want, rtol=1e-5):
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.abs(want).max())


def step(made, x, dy):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = made(x, training=True)
        total = tf.reduce_sum(y * tf.cast(dy, y.dtype))
    found = {"y": y, "x": tape.gradient(total, x)}
    for name in ("gamma", "beta"):
        weight = getattr(made, name)
        if weight is not None:
            found[name] = tape.gradient(total, weight.value)
    return found


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("center", "scale"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_training_values_and_gradients(shape, center, scale):
    x, dy = data(shape)
    made = layer(shape, center=bool(center), scale=bool(scale))
    want, got = reference(x, dy, made), step(made, x, dy)
    assert len(got) == 2 + center + scale
    for name, value in got.items():
        close(value, want[name])


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_moving_statistics_are_the_biased_ones(shape, momentum):
    x, dy = data(shape)
    made = layer(shape, momentum=momentum)
    before = made.moving_mean.numpy(), made.moving_variance.numpy()
    step(made, x, dy)
    after = made.moving_mean.numpy(), made.moving_variance.numpy()
    for old, new, now in zip(before, after, statistics(x), strict=True):
        close(new, momentum * old + (1 - momentum) * now)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("center", "scale"), [(1, 1), (0, 0)])
def test_inference_uses_moving_statistics_and_keeps_them(shape, center, scale):
    x, _ = data(shape)
    made = layer(shape, center=bool(center), scale=bool(scale))
    state = [v.numpy() for v in made.variables]
    mean, variance = made.moving_mean.numpy(), made.moving_variance.numpy()
    want = (x - mean) / np.sqrt(variance.astype(np.float64) + made.epsilon)
    if scale:
        want = want * made.gamma.numpy() + made.beta.numpy()
    close(made(x, training=False), want)
    close(made(x), want)
    for old, variable in zip(state, made.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_keeps_float32_statistics(shape):
    x, dy = data(shape)
    made = layer(shape, dtype="mixed_bfloat16", momentum=0.0)
    rounded = tf.cast(tf.cast(x, tf.bfloat16), tf.float32).numpy()
    got, want = step(made, x, dy), reference(rounded, dy, made)
    assert got["y"].dtype == tf.bfloat16
    assert {v.dtype for v in made.variables} == {"float32"}
    # Far below the 4e-3 of bfloat16.
    for moving, now in zip(
        (made.moving_mean, made.moving_variance), statistics(rounded), strict=True
    ):
        close(moving.numpy(), now)
    for name in ("y", "x", "gamma", "beta"):
        close(tf.cast(got[name], tf.float32), want[name], 3e-2)


@pytest.mark.usefixtures("path")
def test_a_far_mean_does_not_spoil_the_variance():
    x = (1000 + np.random.default_rng(0).normal(size=(4096, 3))).astype(np.float32)
    made = layer(x.shape, momentum=0.0)
    made(x, training=True)
    np.testing.assert_allclose(made.moving_variance, statistics(x)[1], rtol=1e-3)


@pytest.mark.usefixtures("path")
def test_constant_inputs_give_beta_and_finite_gradients():
    x = np.full((8, 3), 7.0, np.float32)
    made = layer(x.shape)
    found = step(made, x, data(x.shape)[1])
    # `x * factor` is large here, and so is what is taken from it.
    close(found["y"], np.broadcast_to(made.beta.numpy(), x.shape), 1e-3)
    assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.usefixtures("path")
def test_unknown_batch_sizes():
    x, _ = data((6, 4, 3, 5))
    for shape, value in (((None, None, None, 5), x), ((None, 5), x[:, 0, 0])):
        made = layer(value.shape)
        spec = [tf.TensorSpec(shape, tf.float32)]
        call = tf.function(
            lambda v, made=made: made(v, training=True), input_signature=spec
        )
        close(call(value), made(value, training=True))


def test_weights_and_what_trains():
    made = BatchNorm(zero_gamma=True)
    made.build((None, 3))
    np.testing.assert_array_equal(made.gamma.numpy(), [0, 0, 0])
    np.testing.assert_array_equal(made.moving_variance.numpy(), [1, 1, 1])
    assert [v.name for v in made.trainable_variables] == ["gamma", "beta"]
    assert len(made.variables) == 4
    plain = BatchNorm()
    plain.build((None, 3))
    np.testing.assert_array_equal(plain.gamma.numpy(), [1, 1, 1])


def test_config_round_trip():
    options = {
        "momentum": 0.5,
        "epsilon": 1e-3,
        "center": False,
        "scale": False,
        "zero_gamma": True,
    }
    made = BatchNorm(**options, name="norm", dtype="mixed_bfloat16")
    config = keras.layers.deserialize(keras.layers.serialize(made)).get_config()
    assert config == made.get_config()
    assert {k: config[k] for k in options} == options


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range(momentum):
    with pytest.raises(
        ValueError, match=rf"momentum must be in \[0, 1\), got {momentum}"
    ):
        BatchNorm(momentum=momentum)


@pytest.mark.parametrize("epsilon", [0.0, -1e-5])
def test_epsilon_out_of_range(epsilon):
    with pytest.raises(ValueError, match=f"epsilon must be positive, got {epsilon}"):
        BatchNorm(epsilon=epsilon)


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
from keras_ssl.core import distribute
from tests.layers import batch_norm_test as here

distribute.virtual_cpus(2)
strategy = distribute.make_strategy("mirrored")
x, dy = here.data((6, 4, 3, 5))
with strategy.scope():
    made = here.layer(x.shape)

def step(x, dy):
    found = here.step(made, x, dy)
    whole = {k: distribute.total(found.pop(k)) for k in ("gamma", "beta")}
    return found | whole

def spread(value):
    return strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(np.split(value, 2)[c.replica_id_in_sync_group]))

with strategy.scope():
    found = strategy.run(tf.function(step), args=(spread(x), spread(dy)))
local = {k: strategy.experimental_local_results(v) for k, v in found.items()}
out = {k: np.concatenate(v) if k in "xy" else v[0].numpy() for k, v in local.items()}
moving = {v.name: v.numpy() for v in (made.moving_mean, made.moving_variance)}
np.savez(sys.argv[1], **out, **moving)
"""


def test_two_replicas_are_one_batch(tmp_path, pytestconfig):
    out = tmp_path / "out.npz"
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REPLICAS), out],
        check=True,
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    x, dy = data((6, 4, 3, 5))
    made = layer(x.shape)
    want = reference(x, dy, made)
    for name, now in zip(
        ("moving_mean", "moving_variance"), statistics(x), strict=True
    ):
        want[name] = 0.9 * getattr(made, name).numpy() + 0.1 * now
    with np.load(out) as got:
        assert sorted(got) == sorted(want)
        for name, value in want.items():
            close(got[name], value)
