"""LAMB's trajectory is held against the authors' code in `tests/golden_test.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.tracing import named_optimizer_variables
from keras_ssl.optimizers import LAMB
from keras_ssl.schedules import LearningRate

SHAPES = ((3, 2), (2,), ())


def weights():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=s).astype(np.float32), name=n)
        for s, n in zip(SHAPES, ("kernel", "bias", "scale"), strict=True)
    ]


def gradients(step):
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=s) for s in SHAPES]


def reference(values, steps, decay, decays, adapts, rate=0.1):
    """Algorithm 2 of the paper in float64, with beta 0.9 and 0.99 and no clipping."""
    means, squares = ([0.0] * len(values) for _ in range(2))
    for t in range(1, steps + 1):
        for i, g in enumerate(gradients(t - 1)):
            means[i] = 0.9 * means[i] + 0.1 * g
            squares[i] = 0.99 * squares[i] + 0.01 * g**2
            hat = means[i] / (1 - 0.9**t)
            update = hat / (np.sqrt(squares[i] / (1 - 0.99**t)) + 1e-6)
            update = update + decays[i] * decay * values[i]
            norms = [np.linalg.norm(v) for v in (values[i], update)]
            ratio = norms[0] / norms[1] if adapts[i] else 1.0
            values[i] = values[i] - rate * ratio * update
    return values


@pytest.mark.parametrize(
    ("excluded", "fixed", "decays", "adapts"),
    [
        (None, None, (1, 0, 0), (1, 0, 0)),
        ([], None, (1, 1, 1), (1, 1, 1)),
        (["bias"], None, (1, 0, 1), (1, 0, 1)),
        (None, [], (1, 0, 0), (1, 1, 1)),
        ([], ["kernel"], (1, 1, 1), (0, 1, 1)),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_trajectory_and_what_takes_part(excluded, fixed, decays, adapts, compiled):
    variables = weights()
    optimizer = LAMB(0.1, beta_2=0.99, weight_decay=0.3)
    optimizer.exclude_from_weight_decay = excluded
    optimizer.exclude_from_layer_adaptation = fixed
    start = [v.numpy().astype(np.float64) for v in variables]
    optimizer.build(variables)
    apply = tf.function(lambda g: optimizer.apply(g), jit_compile=True)
    for step in range(4):
        now = [tf.constant(g, tf.float32) for g in gradients(step)]
        (apply if compiled else optimizer.apply)(now)
    want = reference(start, 4, 0.3, decays, adapts)
    for variable, value in zip(variables, want, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("value", "gradient"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_the_ratio_is_one_where_a_norm_is_zero(value, gradient):
    kernel = keras.Variable(np.full((2, 2), value, np.float32))
    optimizer = LAMB(0.5)
    optimizer.build([kernel])
    optimizer.apply([tf.fill([2, 2], gradient)])
    np.testing.assert_allclose(kernel.numpy(), value - 0.5 * gradient, rtol=1e-5)


def test_a_schedule_sets_the_rate_and_clipping_is_keras_s():
    kernel = keras.Variable(np.ones((2, 2), np.float32))
    schedule = LearningRate(lambda step: tf.cast(step, tf.float32))
    optimizer = LAMB(schedule, global_clipnorm=1.0)
    optimizer.build([kernel])
    optimizer.apply([tf.ones([2, 2])])
    np.testing.assert_array_equal(kernel.numpy(), np.ones((2, 2)))
    optimizer.apply([tf.ones([2, 2])])
    np.testing.assert_allclose(kernel.numpy(), np.zeros((2, 2)), atol=1e-5)
    np.testing.assert_allclose(optimizer.squares[0].numpy(), 0.25 * (1 - 0.999**2))


def test_slots_have_names_of_the_weights():
    variables = weights()
    optimizer = LAMB(0.1)
    optimizer.build(variables)
    optimizer.build(variables)
    named = named_optimizer_variables(optimizer, {id(v): v.name for v in variables})
    assert {"optimizer/means/kernel", "optimizer/squares/scale"} <= set(named)
    assert len(named) == 2 + 2 * 3  # Steps and rate too.


def test_config_round_trip():
    options = {
        "learning_rate": 0.125,
        "beta_1": 0.5,
        "beta_2": 0.75,
        "epsilon": 1e-3,
        "weight_decay": 0.25,
        "exclude_from_weight_decay": ["bias"],
        "exclude_from_layer_adaptation": ["scale"],
        "name": "mine",
        "clipnorm": 1.0,
    }
    config = LAMB(**options).get_config()
    assert LAMB.from_config(config).get_config() == config
    assert {k: config[k] for k in options} == options


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"beta_1": 1.0}, r"beta_1 must be in \[0, 1\), got 1.0"),
        ({"beta_2": -0.1}, r"beta_2 must be in \[0, 1\), got -0.1"),
        ({"epsilon": 0.0}, "epsilon must be positive, got 0.0"),
        ({"weight_decay": -1e-4}, "weight_decay must be at least 0, got -0.0001"),
    ],
)
def test_numbers_out_of_range(bad, words):
    with pytest.raises(ValueError, match=words):
        LAMB(0.1, **bad)
