"""Rates of parts and weight decay as recipes state them, in tiny runs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import config, registry, run_dir, tracing
from keras_ssl.core.registry import register
from keras_ssl.runs import launch, optimizing
from keras_ssl.schedules import Clock, fixed
from tests import harness

TINY = ["methods/byol.gin", "tiny.gin"]
RATES = [
    "train.evaluation = None",
    "train.rates = {'^encoder/': @slow/cosine, '(bias|gamma|beta)$': 0.5, "
    "'^predictor/': @predictor/fixed, '^projector/dense2/': @last/frozen}",
    "slow/cosine.base = 0.01",
    "predictor/fixed.base = 0.02",
    "last/frozen.epochs = 1.5",
    "last/frozen.then = @rate/cosine",
    "train.weight_decay = @decay/cosine_between",
    "decay/cosine_between.base = 0.04",
    "decay/cosine_between.final = 0.4",
]


@register("callback", "StopAfter")
class StopAfter(keras.callbacks.Callback):
    """Ends training as Ctrl-C would, and keeps the weights of each step.

    Args:
        step: Step of the run after which it stops.
    """

    seen: tuple = ()

    def __init__(self, step):
        super().__init__()
        self.step = step
        type(self).seen = ()

    def on_train_batch_end(self, batch, logs=None):
        names = optimizing.names(self.model)
        values = {n: v.numpy() for n, v in names.items()}
        type(self).seen = (*self.seen, values)
        if int(self.model.optimizer.iterations.numpy()) == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("policy", "accumulate"),
    [
        ("float32", 1),
        pytest.param("mixed_float16", 1, marks=pytest.mark.slow),
        pytest.param("mixed_float16", 4, marks=pytest.mark.slow),
    ],
)
def test_runs_stop_and_resume(tmp_path, policy, accumulate):
    words = [*RATES, f"train.accumulate = {accumulate}"]
    words = [*words, "Checkpoint.every_steps = 1", "train.callbacks = [@StopAfter()]"]
    words = [*words, "AdamW.clipnorm = 3.0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    launch.train(str(whole), TINY, [*words, "StopAfter.step = 99"], precision=policy)
    seen = StopAfter.seen
    last = [step["projector/dense2/kernel"] for step in seen]
    # Four steps an epoch: still for six, then it learns.
    for value in last[:6]:
        np.testing.assert_array_equal(value, last[0])
    assert (last[5] != last[6]).any()
    first = [step["projector/dense1/kernel"] for step in seen]
    assert (first[1] != first[2]).any()
    rows = run_dir.read_lines(whole / run_dir.METRICS)
    got = [row["weight_decay"] for row in rows]
    steps = np.arange(1, 9)
    want = 0.4 + (0.04 - 0.4) * (1 + np.cos(np.pi * steps / 8)) / 2
    np.testing.assert_allclose(got, want, rtol=1e-4)
    with pytest.raises(KeyboardInterrupt):
        launch.train(str(parts), TINY, [*words, "StopAfter.step = 5"], precision=policy)
    text = (parts / run_dir.CONFIG).read_text()
    (parts / run_dir.CONFIG).write_text(text.replace("step = 5", "step = 99"))
    launch.train(str(parts), TINY, [*words, "StopAfter.step = 99"], precision=policy)
    records = [run_dir.read_json(f / run_dir.RUN) for f in (whole, parts)]
    assert records[1]["resumed"] == 1
    assert records[0]["weights_digest"] == records[1]["weights_digest"]


def test_a_plan_knows_rates(tmp_path, capsys):
    status = launch.train(
        str(tmp_path / "run"), TINY, RATES, precision="float32", plan=True
    )
    said = capsys.readouterr().out
    assert status == 0, said
    assert "train.rates = " in said
    wrong = "train.rates = {'heda/': 0.5}"
    status = launch.train(
        str(tmp_path / "run"), TINY, [RATES[0], wrong], precision="float32", plan=True
    )
    assert status == 2
    assert "'heda/' is for no variable that is trained" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ("train.rates = {'heda/': 0.5}", ["'heda/'", "encoder/stem, ", "predictor/"]),
        ("train.rates = {'^target/': 0.5}", ["'^target/'", "that is trained"]),
        ("train.rates = {'^encoder/': @rate/cosine()}", ["clock"]),
        ("train.rates = {'^encoder/': None}", ["must be a schedule", "None"]),
        ("train.weight_decay = 0.1", ["weight_decay", "schedule", "0.1"]),
        (
            "train.rates = {'kernel': @rate/cosine, 'encoder': @rate/cosine}",
            ["Both 'kernel' and 'encoder'", "encoder/stem/conv/kernel"],
        ),
        ("train.rates = 0.5", ["train.rates", "pattern", "0.5"]),
    ],
)
def test_mistakes(tmp_path, binding, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        launch.train(str(tmp_path / "run"), TINY, [RATES[0], binding])
    text = config.explain(caught.value)
    for word in words:
        assert word in text, text
    assert not list(tmp_path.iterdir())


def bench(policy="float32"):
    entry = next(e for e in registry.entries("method") if e.name == "BYOL")
    return harness.Bench(entry, precision=policy)


def test_other_optimizers_have_no_rates_of_parts():
    method, clock = bench().method, Clock(8, 4)
    value = fixed(clock, 0.1)
    plain = keras.optimizers.SGD
    optimizing.compile_method(method, clock, plain, value, 1.0)
    for given in ({"rates": {"encoder": 0.5}}, {"weight_decay": lambda clock: value}):
        with pytest.raises(
            ValueError, match=r"need an optimizer of keras_ssl.*got SGD"
        ):
            optimizing.compile_method(method, clock, plain, value, 1.0, **given)


def test_rates_are_scaled_as_the_main_one():
    method, clock = bench("mixed_float16").method, Clock(8, 4)
    optimizing.compile_method(
        method,
        clock,
        registry.get("optimizer", "LARS"),
        fixed(clock, 0.1),
        2.0,
        {"^predictor/": lambda clock: fixed(clock, 0.3), "gamma$": 0.5},
    )
    inner = method.optimizer.inner_optimizer
    assert float(inner.learning_rate) == pytest.approx(0.2)
    assert {p: float(v(tf.constant(3))) for p, v in inner._others.items()} == {
        "^predictor/": pytest.approx(0.6)
    }


def test_names_begin_with_the_method_s_own_and_those_of_checkpoints():
    method = bench().method
    names = optimizing.names(method)
    assert names["encoder/stem/conv/kernel"] is names["small_resnet/stem/conv/kernel"]
    assert names["predictor/dense1/kernel"] is names["mlp_2/dense1/kernel"]
    assert {id(v) for v in names.values()} == {
        id(v) for v in tracing.named_variables(method).values()
    }
