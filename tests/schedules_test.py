import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.schedules import (
    Clock,
    CosineMomentum,
    CosineSchedule,
    LinearWarmup,
    WarmupCosine,
)

CLOCK = Clock(total_steps=40, steps_per_epoch=8)


def values(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


@pytest.mark.parametrize(
    ("epochs", "steps"), [(0, 0), (1, 8), (2.5, 20), (0.1, 1), (5, 40)]
)
def test_clock_converts_epochs(epochs, steps):
    assert CLOCK.steps(epochs) == steps


def test_warmup_cosine_values():
    steps = np.arange(41)
    ramp = 2.0 * steps / 10
    cosine = 0.5 + 1.5 * (1 + np.cos(np.pi * (steps - 10) / 30)) / 2
    want = np.where(steps < 10, ramp, cosine)
    got = values(WarmupCosine(2.0, 40, 10, 0.5), steps)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert got.argmax() == 10


@pytest.mark.parametrize(
    "schedule", [WarmupCosine(1.0, 10, 2, 0.1), CosineMomentum(0.9, 10)]
)
def test_the_end_value_stays(schedule):
    np.testing.assert_array_equal(
        values(schedule, [11, 1000]), [values(schedule, [10])[0]] * 2
    )


@pytest.mark.parametrize(
    ("total", "warmup"), [(10, 0), (10, 10), (1, 1), (1, 0), (0, 0)]
)
def test_extreme_lengths_are_finite(total, warmup):
    got = values(WarmupCosine(1.0, total, warmup), range(12))
    assert np.isfinite(got).all()
    assert got.min() >= 0.0
    assert got.max() <= 1.0
    if not warmup and total:
        assert got[0] == 1.0


@pytest.mark.parametrize(("total", "warmup"), [(10, 11), (10, -1)])
def test_a_warmup_outside_the_run_is_an_error(total, warmup):
    words = (
        rf"warmup_steps must lie in \[0, total_steps\].*={warmup}, total_steps={total}"
    )
    with pytest.raises(ValueError, match=words):
        WarmupCosine(1.0, total, warmup)


def test_cosine_momentum_rises_from_base_to_one():
    got = values(CosineMomentum(0.9, 100), range(101))
    assert got[0] == pytest.approx(0.9)
    assert got[50] == pytest.approx(0.95)
    assert got[100] == 1.0
    assert (np.diff(got) > 0).all()


def test_recipes_speak_epochs():
    made = schedules.cosine(CLOCK, base=3.0, final=0.3, warmup_epochs=1.5)
    assert made == WarmupCosine(3.0, 40, 12, 0.3)
    # A short trial of a long recipe is all warm-up.
    assert schedules.cosine(CLOCK, 3.0, warmup_epochs=10) == WarmupCosine(3.0, 40, 40)
    assert schedules.cosine_momentum(CLOCK, 0.99) == CosineMomentum(0.99, 40)
    np.testing.assert_array_equal(
        values(schedules.constant(CLOCK, 0.25), [0, 99]), 0.25
    )


@pytest.mark.parametrize("base", [-0.1, 1.1, math.nan])
def test_momentum_outside_of_its_range(base):
    with pytest.raises(
        ValueError, match=rf"base momentum must be in \[0, 1\], got {base}"
    ):
        schedules.cosine_momentum(CLOCK, base)


@pytest.mark.parametrize("name", ["cosine", "constant", "cosine_momentum"])
def test_schedules_are_float32_functions_of_python_and_tensor_steps(name):
    made = getattr(schedules, name)(CLOCK, base=0.5)
    compiled = tf.function(made, autograph=False)
    for step in (0, 7, 40):
        want = made(step)
        assert want.dtype == tf.float32
        assert want.shape == ()
        np.testing.assert_allclose(compiled(tf.constant(step, tf.int64)), want, 1e-6)


def test_learning_rate_is_what_keras_asks_for():
    seen = schedules.LearningRate(WarmupCosine(1.0, 10, 5))
    optimizer = keras.optimizers.SGD(seen)
    variable = keras.Variable(0.0)
    optimizer.build([variable])
    for want in (0.0, 0.2, 0.6):  # Sums of 0, 1/5, 2/5.
        optimizer.apply([tf.constant(-1.0)], [variable])
        assert float(variable.value) == pytest.approx(want)


def test_cosine_schedule_values():
    # facebookresearch/dino utils.py: linspace with its end, then half a cosine.
    steps = np.arange(40)
    ramp = np.linspace(0.5, 2.0, 10)
    cosine = 1.0 + 1.0 * (1 + np.cos(np.pi * np.arange(30) / 30)) / 2
    got = values(CosineSchedule(2.0, 1.0, 40, 10, 0.5), steps)
    np.testing.assert_allclose(got, np.concatenate([ramp, cosine]), rtol=1e-5)
    np.testing.assert_array_equal(values(CosineSchedule(2.0, 1.0, 40), [40, 99]), 1.0)


@pytest.mark.parametrize(("warmup", "want"), [(0, 2.0), (1, 0.5), (2, 0.5)])
def test_short_warmups_begin_as_linspace_does(warmup, want):
    assert float(CosineSchedule(2.0, 1.0, 9, warmup, 0.5)(0)) == want
    assert float(LinearWarmup(0.5, 2.0, warmup)(0)) == want
    assert float(LinearWarmup(0.5, 2.0, warmup)(2)) == 2.0


def test_linear_warmup_holds_each_value():
    got = values(LinearWarmup(1.0, 3.0, 3, hold=4), range(16))
    np.testing.assert_allclose(got, np.repeat([1.0, 2.0, 3.0, 3.0], 4))


def test_factories_of_both():
    up = schedules.cosine_between(CLOCK, 0.04, 0.4, warmup_epochs=0.5, start=0.1)
    assert up == CosineSchedule(0.04, 0.4, 40, 4, 0.1)
    assert schedules.cosine_between(CLOCK, 1.0, 0.0, 99).warmup_steps == 40
    assert schedules.linear_warmup(CLOCK, 0.04, 0.07, 3) == LinearWarmup(
        0.04, 0.07, 3, 8
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CosineSchedule(1.0, 0.0, 10, 11), "warmup_steps=11, total_steps=10"),
        (lambda: LinearWarmup(0.0, 1.0, -1), "warmup_steps=-1, hold=1"),
        (lambda: LinearWarmup(0.0, 1.0, 1, 0), "warmup_steps=1, hold=0"),
    ],
)
def test_warmups_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_staircase_falls_at_its_epochs():
    value = schedules.staircase(schedules.Clock(100, 10), 2.0, (3, 6.5), factor=0.1)
    got = [float(value(step)) for step in (0, 29, 30, 64, 65, 99)]
    np.testing.assert_allclose(got, [2, 2, 0.2, 0.2, 0.02, 0.02], rtol=1e-6)


def test_frozen_at_first_then_as_if_it_had_run_all_along():
    rate = functools.partial(schedules.cosine, base=2.0, warmup_epochs=1)
    want = values(rate(CLOCK), range(41))
    got = values(schedules.frozen(CLOCK, 1.5, rate), range(41))
    np.testing.assert_array_equal(got[:12], 0.0)
    np.testing.assert_array_equal(got[12:], want[12:])
    np.testing.assert_array_equal(
        values(schedules.frozen(CLOCK, 0, rate), range(41)), want
    )
    for epochs in (-1, math.nan):
        with pytest.raises(
            ValueError, match=f"epochs must be at least 0, got {epochs}"
        ):
            schedules.frozen(CLOCK, epochs, rate)
