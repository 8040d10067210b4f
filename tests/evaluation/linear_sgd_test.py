import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import open_source
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.linear import LinearProbe, standardized
from keras_ssl.evaluation.linear_sgd import Heads, LinearSGD
from keras_ssl.evaluation.raw import raw_pixels
from tests.evaluation.made import Data


def batches(f, size, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        rows = rng.permutation(len(f.train))[:size]
        yield (
            tf.constant(f.train[rows], tf.float32),
            tf.constant(f.train_labels[rows], tf.int32),
        )


def test_reaches_the_accuracy_of_lbfgs():
    data = Data(n=800, m=1000, d=16, spread=0.6)
    f = standardized(data.made)
    probe = LinearSGD(rates=(0.3,), batch_size=200, epochs=60, weight_decay=1e-3)
    got = probe.fit(batches(f, 200), 16, 4, 60 * 4).accuracy(f.test, f.test_labels)
    want = LinearProbe(l2=(1e-3,)).run("encode", data)["top1"]
    # Both are near one optimum: the two differ by a standard error of 1,000 at most.
    assert 0.4 < want < 0.95
    assert got[0] == pytest.approx(want, abs=np.sqrt(want * (1 - want) / 1000))


def one_step(probe, first, x, labels, steps=2):
    """The kernel by plain numpy."""
    kernel, bias = first.copy(), np.zeros(first.shape[1])
    momenta = [np.zeros_like(kernel), np.zeros_like(bias)]
    rate = probe.rates[0]
    for _ in range(steps):
        logits = x @ kernel + bias
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        error = (p - np.eye(first.shape[1])[labels]) / len(x)
        slope = x.T @ error + probe.weight_decay * kernel
        if probe.lars:
            slope *= 0.001 * np.linalg.norm(kernel) / np.linalg.norm(slope)
        above = error.sum(0) + (0 if probe.lars else probe.weight_decay) * bias
        for i, (weight, g) in enumerate(((kernel, slope), (bias, above))):
            momenta[i] = 0.9 * momenta[i] + g
            ahead = g + 0.9 * momenta[i] if probe.nesterov else momenta[i]
            weight -= rate * ahead
    return kernel, bias


@pytest.mark.parametrize("lars", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_are_those_of_the_formula(lars, nesterov):
    probe = LinearSGD(
        rates=(0.5,), lars=lars, nesterov=nesterov, weight_decay=0.1, init=0.3
    )
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    heads = Heads(1, 5, 3, probe)
    first = heads.weights.kernel.numpy()[0].astype(np.float64)
    assert first.std() == pytest.approx(0.3, rel=0.5)
    for _ in range(2):
        heads.step(tf.constant(x, tf.float32), tf.constant(labels), tf.constant([0.5]))
    kernel, bias = one_step(probe, first, x, labels)
    np.testing.assert_allclose(heads.weights.kernel[0], kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(heads.weights.bias[0, 0], bias, rtol=1e-4, atol=1e-6)


def test_heads_of_a_grid_are_those_of_each_rate_alone():
    f = Data().made
    both = LinearSGD(rates=(0.1, 2.0), epochs=2, batch_size=50)
    together = both.fit(batches(f, 50), 12, 4, 6)
    for i, rate in enumerate(both.rates):
        one = dataclasses.replace(both, rates=(rate,))
        alone = one.fit(batches(f, 50), 12, 4, 6)
        np.testing.assert_allclose(
            together.weights.kernel[i], alone.weights.kernel[0], rtol=1e-4, atol=1e-6
        )


def test_norm_undoes_scale_and_offset():
    f = Data().made
    moved = f._replace(train=100 * f.train + 7, test=100 * f.test + 7)
    probe = LinearSGD(rates=(0.5,), epochs=1, batch_size=100, norm=True)
    plain, other = (
        probe.fit(batches(g, 100), 12, 4, 60).accuracy(g.test, g.test_labels)
        for g in (f, moved)
    )
    # Moving statistics start at 0 and 1, and 0.9^60 of that is left.
    np.testing.assert_allclose(plain, other, atol=0.04)
    assert plain > 0.8


def test_rates_follow_the_epochs():
    cosine = LinearSGD(rates=(1.0, 2.0), epochs=10, warmup_epochs=2)
    got = [cosine.rate(step, 100) for step in (0, 10, 20, 60, 100)]
    np.testing.assert_allclose([g[0] for g in got], [0, 0.5, 1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(got[2], [1, 2])
    steps = LinearSGD(rates=(30.0,), epochs=100, drops=(60, 80))
    got = [float(steps.rate(step, 1000)[0]) for step in (599, 600, 800)]
    np.testing.assert_allclose(got, [30, 3, 0.3], rtol=1e-5)


@pytest.fixture(scope="module")
def data():
    train, test = (open_source("embedded:32", split) for split in ("train", "test"))
    return EvaluationData(train, test, 32, 200, 60)


def test_learns_from_crops_with_their_own_labels(data):
    probe = LinearSGD(
        rates=(0.02,), batch_size=50, epochs=40, area=(0.95, 1.0), flip=0.0, norm=True
    )
    # What it learned from it must know; labels of other images would give chance.
    # Under another name, since data that share images are refused.
    again = dataclasses.replace(data.train, name="the same")
    known = EvaluationData(data.train, again, 32, 200, 200)
    assert probe.run(raw_pixels, known)["top1"] > 0.6


def test_chooses_a_rate_on_train_alone(data, capsys):
    probe = LinearSGD(rates=(1e-6, 0.02), batch_size=30, epochs=20, norm=True)
    fit, held = probe._parts(np.arange(0, 400, 2))
    assert len(held) == 20
    np.testing.assert_array_equal(np.sort([*fit, *held]), np.arange(0, 400, 2))
    got = probe.run(raw_pixels, data)
    assert got["rate"] in probe.rates
    said = capsys.readouterr().err
    assert "epoch 20 of 20" in said
    assert "images/s" in said
    shuffled = dataclasses.replace(
        data.test, labels=np.random.default_rng(0).permutation(data.test.labels)
    )
    other = EvaluationData(data.train, shuffled, 32, 200, 60)
    assert probe.run(raw_pixels, other)["rate"] == got["rate"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"rates": ()}, "rates needs positive"),
        ({"rates": (0.0,)}, "rates needs positive"),
        ({"held_out": 1.0}, "held_out must be in"),
        ({"epochs": 0}, "epochs must be"),
        ({"weight_decay": -1.0}, "weight_decay must"),
    ],
)
def test_arguments_out_of_range(bad, words):
    with pytest.raises(ValueError, match=words):
        LinearSGD(**bad)


def test_protocol_says_how_it_learned():
    said = LinearSGD(rates=(0.2, 0.1), lars=True).protocol()
    assert (said["rates"], said["lars"], said["area"]) == ([0.2, 0.1], True, [0.08, 1])
