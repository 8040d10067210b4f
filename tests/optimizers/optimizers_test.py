"""LARS's trajectories are held against the authors' code in `tests/golden_test.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.optimizers import LARS, SGD
from keras_ssl.schedules import LearningRate

BOTH = pytest.mark.parametrize("make", [SGD, LARS])


def weights(seed=0):
    """A kernel, a bias and a scalar."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,), ())]
    return [
        keras.Variable(value, name=name)
        for value, name in zip(values, ("kernel", "bias", "scale"), strict=True)
    ]


def gradients(step=0):
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=s).astype(np.float32) for s in ((3, 2), (2,), ())]


def run(optimizer, variables, steps=1, zero=False):
    optimizer.build(variables)
    for step in range(steps):
        now = [tf.constant((not zero) * g) for g in gradients(step)]
        optimizer.apply(now, variables)
    return [v.numpy() for v in variables]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_that_of_pytorch(nesterov):
    # torch.optim.SGD: g += wd * w; b = m * b + g; w -= lr * (g + m * b if nesterov).
    rates, keep, decay = (0.1, 0.5, 0.2), 0.9, 0.3
    optimizer = SGD(0.0, keep, decay, nesterov=nesterov)
    variables = weights()
    want = [v.numpy().astype(np.float64) for v in variables]
    buffers = [0.0] * 3
    optimizer.build(variables)
    for step, rate in enumerate(rates):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(g) for g in gradients(step)], variables)
        for i, g in enumerate(gradients(step)):
            g = g + decay * want[i] * (want[i].ndim > 1)
            buffers[i] = keep * buffers[i] + g
            want[i] = want[i] - rate * (
                g + keep * buffers[i] if nesterov else buffers[i]
            )
    for variable, value in zip(variables, want, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-6)


@BOTH
def test_by_default_only_matrices_and_kernels_decay(make):
    variables = weights()
    before = [v.numpy() for v in variables]
    after = run(make(0.5, weight_decay=0.1), variables, zero=True)
    assert np.linalg.norm(after[0]) < np.linalg.norm(before[0])
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_array_equal(after[2], before[2])


@BOTH
@pytest.mark.parametrize(
    ("patterns", "decays"),
    [
        (["ernel"], [False, True, True]),
        (["bias", "sca.e"], [True, False, False]),
        ([], [True, True, True]),
        (["^kern$"], [True, True, True]),
    ],
)
def test_patterns_take_the_place_of_the_rule(make, patterns, decays):
    variables = weights()
    before = [v.numpy() for v in variables]
    optimizer = make(0.5, weight_decay=0.1, exclude_from_weight_decay=patterns)
    after = run(optimizer, variables, zero=True)
    moved = [not np.array_equal(a, b) for a, b in zip(after, before, strict=True)]
    assert moved == decays


@BOTH
def test_patterns_are_sought_in_the_whole_path(make):
    layers = [keras.layers.Dense(2, name=name) for name in ("first", "bn1")]
    for layer in layers:
        layer.build((None, 3))
    variables = [layer.kernel for layer in layers]
    optimizer = make(0.1, exclude_from_weight_decay=["bn1/"])
    optimizer.build(variables)
    assert optimizer.decays == [True, False]


def test_lars_adapts_what_decays_unless_told_otherwise():
    mine, plain = weights(), weights()
    after = run(LARS(0.1, exclude_from_weight_decay=["kernel"]), mine)
    want = run(SGD(0.1), plain)
    np.testing.assert_allclose(after[0], want[0], rtol=1e-5)
    assert not np.allclose(after[1], want[1])


def test_decay_is_coupled():
    # In the gradient, it builds up in the momentum: decoupled it would not.
    variables = [keras.Variable(np.ones((2, 2), np.float32))]
    optimizer = SGD(0.1, momentum=0.5, weight_decay=1.0)
    optimizer.build(variables)
    for want in (0.9, 0.9 - 0.1 * (0.5 + 0.9)):
        optimizer.apply([tf.zeros([2, 2])], variables)
        np.testing.assert_allclose(variables[0].numpy(), want, rtol=1e-6)


def test_lars_steps_have_the_length_of_the_weight():
    kernel = keras.Variable(np.full((3, 2), 2.0, np.float32))
    start = kernel.numpy()
    optimizer = LARS(0.5, momentum=0.0, trust_coefficient=0.01)
    optimizer.build([kernel])
    optimizer.apply([tf.fill([3, 2], 1e3)], [kernel])
    step = np.linalg.norm(kernel.numpy() - start)
    np.testing.assert_allclose(step, 0.5 * 0.01 * np.linalg.norm(start), rtol=1e-4)


@pytest.mark.parametrize("classic", [True, False])
def test_lars_leaves_vectors_to_sgd_by_default(classic):
    mine, plain = weights(), weights()
    options = {"trust_coefficient": 1e-3, "classic_momentum": classic}
    after = run(LARS(0.1, weight_decay=0.3, lr_in_momentum=False, **options), mine, 3)
    want = run(SGD(0.1, weight_decay=0.3), plain, 3)
    np.testing.assert_allclose(after[1], want[1], rtol=1e-5)
    np.testing.assert_allclose(after[2], want[2], rtol=1e-5)
    assert not np.allclose(after[0], want[0])


def test_lars_adaptation_is_excluded_on_its_own():
    mine, plain = weights(), weights()
    optimizer = LARS(0.1, weight_decay=0.3, exclude_from_layer_adaptation=["kernel"])
    after = run(optimizer, mine)
    want = run(SGD(0.1, weight_decay=0.3), plain)
    # The kernel decays, and steps as SGD's; the bias adapts, and does not decay.
    np.testing.assert_allclose(after[0], want[0], rtol=1e-5)
    start = weights()[1].numpy()
    length = np.linalg.norm(after[1] - start)
    np.testing.assert_allclose(length, 1e-4 * np.linalg.norm(start), rtol=1e-2)


@pytest.mark.parametrize("classic", [True, False])
def test_lars_of_zero_weights_and_gradients(classic):
    for value, gradient in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        kernel = keras.Variable(np.full((2, 2), value, np.float32))
        optimizer = LARS(0.5, classic_momentum=classic)
        optimizer.build([kernel])
        optimizer.apply([tf.fill([2, 2], gradient)], [kernel])
        # The ratio is 1 where a norm is 0.
        np.testing.assert_allclose(kernel.numpy(), value - 0.5 * gradient)


@BOTH
def test_a_schedule_sets_the_rate(make):
    variables = [keras.Variable(np.float32(0.0))]
    schedule = LearningRate(lambda step: tf.cast(step, tf.float32))
    optimizer = make(schedule, momentum=0.0)
    optimizer.build(variables)
    for want in (0.0, -1.0, -3.0):
        optimizer.apply([tf.constant(1.0)], variables)
        assert float(variables[0].value) == want


@BOTH
def test_config_round_trip(make):
    options = {"momentum": 0.5, "weight_decay": 0.25, "nesterov": True, "name": "mine"}
    optimizer = make(0.125, exclude_from_weight_decay=["bias"], **options)
    config = optimizer.get_config()
    again = make.from_config(config)
    assert again.get_config() == config
    assert {k: config[k] for k in options} == options
    np.testing.assert_array_equal(
        run(again, weights(), 2)[0], run(optimizer, weights(), 2)[0]
    )


@BOTH
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, r"momentum must be in \[0, 1\), got -0.1"),
        ({"weight_decay": -1e-4}, "weight_decay must be at least 0, got -0.0001"),
    ],
)
def test_numbers_out_of_range(make, bad, words):
    with pytest.raises(ValueError, match=words):
        make(0.1, **bad)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_trust_coefficient_must_be_positive(value):
    with pytest.raises(
        ValueError, match=f"trust_coefficient must be positive, got {value}"
    ):
        LARS(0.1, trust_coefficient=value)


@BOTH
def test_building_twice_keeps_the_state(make):
    variables = weights()
    optimizer = make(0.1)
    run(optimizer, variables)
    slots = [v.numpy() for v in optimizer.momentums]
    optimizer.build(variables)
    assert len(optimizer.momentums) == 3
    for slot, value in zip(optimizer.momentums, slots, strict=True):
        np.testing.assert_array_equal(slot.numpy(), value)


@pytest.mark.parametrize("rate", [1e-3, 0.4])
@pytest.mark.parametrize("inside", [False, True])
def test_a_clipped_rate_is_the_lesser_of_two(rate, inside):
    # solo-learn's LARS: the rate is min(eta * |w| / |g|, lr), in front of a buffer.
    eta, keep = 0.02, 0.9
    options = {"trust_coefficient": eta, "clip_rate": True, "lr_in_momentum": inside}
    after = run(LARS(rate, keep, **options), weights(), 3)
    kernel, bias, scale = (v.numpy() for v in weights())
    buffers = [0.0, 0.0, 0.0]
    for step in range(3):
        g = gradients(step)
        own = min(eta * np.linalg.norm(kernel) / np.linalg.norm(g[0]), rate)
        for i, share in enumerate((own, rate, rate)):
            buffers[i] = keep * buffers[i] + share * g[i]
        kernel, bias, scale = (
            v - b for v, b in zip((kernel, bias, scale), buffers, strict=True)
        )
    for got, want in zip(after, (kernel, bias, scale), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_clipped_rate_may_be_0():
    mine = weights()
    after = run(LARS(0.0, clip_rate=True), mine)
    np.testing.assert_array_equal(after[0], weights()[0].numpy())
