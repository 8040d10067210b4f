"""Chunks of a batch give the gradients of the whole; replicas and state fit in."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import distribute, flops, registry, tracing
from keras_ssl.layers.batch_norm import BatchNorm
from keras_ssl.memory.queue import Queue
from keras_ssl.methods import accumulation
from keras_ssl.methods.base import Method
from keras_ssl.optimizers import LARS
from keras_ssl.schedules import Clock
from tests import harness

ROWS, WIDTH, CHUNKS = 24, 6, 3


class Pairs(Method):
    """What makes chunks hard: weights in the objective, state, targets, integers."""

    spans = "gathers"

    def __init__(self, *layers):
        super().__init__(keras.Sequential([keras.layers.Dense(WIDTH), *layers]))
        self.head = keras.layers.Dense(WIDTH)
        self.queue = Queue(2 * ROWS)
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def forward(self, batch):
        first, second = batch["views"]
        z1, z2 = (self.encoder(x, training=True) for x in (first, second))
        return {
            "z1": z1,
            "target": tf.stop_gradient(z2),
            "z2": z2,
            "places": batch["index"] + 1,
            "positive": first[:, 0] > 0,
            "views": first,
        }

    def objective(self, outputs):
        # A head of its own, a learned temperature, and all rows against all.
        z1, z2 = self.head(outputs["z1"]), outputs["z2"]
        loss = losses.nt_xent(z1, z2) * tf.exp(self.scale.value)
        loss += losses.info_nce(z1, outputs["target"], self.queue(z1), 0.5)
        places = tf.cast(outputs["places"], tf.float32)
        return {"loss": loss, "places": tf.reduce_sum(places**2)}

    def remember(self, outputs):
        self.queue.push(outputs["target"])


class Alone(Pairs):
    """The same parts, and a loss that is a mean over examples."""

    spans = "local"
    remember = Method.remember

    def objective(self, outputs):
        p = self.head(outputs["z1"])
        loss = losses.byol_regression(p, outputs["target"])
        return {"loss": loss * tf.exp(self.scale.value)}


def batch():
    draw = np.random.default_rng(0).normal
    views = [tf.constant(draw(size=(ROWS, 4)), tf.float32) for _ in range(2)]
    index = tf.range(ROWS, dtype=tf.int64)
    return {
        "views": tuple(views),
        "seed": tf.zeros([ROWS, 2], tf.int32),
        "index": index,
    }


def made(kind, *layers, accumulate=1, optimizer=keras.optimizers.SGD):
    keras.utils.set_random_seed(0)
    method = kind(*(layer() for layer in layers))
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch())
    method.setup(spec, Clock(8, 4), accumulate=accumulate)
    method.compile(optimizer=optimizer(0.1))
    method.optimizer.build(method.trainable_variables)
    return method


def derive(method, jit=False):
    """The step's gradients as the graph of a train step has them."""
    function = functools.partial(
        method._derive, batch(), method.trainable_variables, lambda loss: loss
    )
    return tf.function(function, autograph=False, jit_compile=jit)()


def agree(got, want):
    names = [str(i) for i in range(len(want))]
    harness.gradients_agree(
        dict(zip(names, got, strict=True)), dict(zip(names, want, strict=True))
    )


@pytest.mark.parametrize("kind", [Pairs, Alone])
@pytest.mark.parametrize("count", [CHUNKS, ROWS])
def test_gradients_are_those_of_the_whole_batch(kind, count):
    whole = derive(made(kind))
    method = made(kind, accumulate=count)
    step = derive(method)
    assert method._derive.alone == (kind is Alone)
    agree(step.gradients, whole.gradients)
    for name, value in step.scalars.items():
        np.testing.assert_allclose(value, whole.scalars[name], 1e-6)
    # Nobody asks for them where there is one pass.
    assert set(step.outputs) == (set() if kind is Alone else set(whole.outputs))
    for name, value in step.outputs.items():
        np.testing.assert_allclose(value, whole.outputs[name], 1e-5, 1e-6)


def test_a_weight_that_the_loss_does_not_depend_on_has_no_gradient(monkeypatch):
    method, whole = made(Alone, accumulate=CHUNKS), made(Alone)
    monkeypatch.setattr(
        Alone,
        "objective",
        lambda self, outputs: {"loss": tf.reduce_mean(outputs["z1"] ** 2)},
    )
    reached = [g is not None for g in derive(method).gradients]
    assert reached == [g is not None for g in derive(whole).gradients]
    assert not all(reached)


@pytest.mark.parametrize(("kind", "jit"), [(Pairs, 0), (Alone, 0), (Pairs, 1)])
def test_state_moves_once_a_chunk_and_both_passes_draw_the_same(kind, jit):
    # Compiled, the same seeds give other numbers.
    layers = (BatchNorm, lambda: keras.layers.Dropout(0.5))[: 1 if jit else 2]
    method, plain = (made(kind, *layers, accumulate=count) for count in (CHUNKS, 1))
    assert len(method._derive.changed) == (2 if jit else 3)
    start = [v.numpy() for v in plain.variables]
    # Chunks one after the other, all of them kept under one tape.
    with tf.GradientTape() as tape:
        parts = []
        for i in range(CHUNKS):
            chunk = tf.nest.map_structure(lambda x, i=i: x[i::CHUNKS], batch())
            parts.append(plain._outputs(chunk))
        order = np.argsort(
            np.concatenate([np.arange(i, ROWS, CHUNKS) for i in range(CHUNKS)])
        )
        outputs = {
            k: tf.gather(tf.concat([part[k] for part in parts], 0), order)
            for k in parts[0]
        }
        scalars = plain._scalars(outputs)
    want = tape.gradient(scalars["loss"], plain.trainable_variables)
    step = derive(method, bool(jit))
    agree(step.gradients, want)
    np.testing.assert_allclose(step.scalars["loss"], scalars["loss"], 1e-5)
    names = tracing.named_variables(plain)
    for name, variable in tracing.named_variables(method).items():
        np.testing.assert_allclose(variable, names[name], 1e-5, 1e-6, err_msg=name)
    changed = [
        (v.numpy() != x).any() for v, x in zip(plain.variables, start, strict=True)
    ]
    assert sum(changed) == len(method._derive.changed)


def test_a_step_updates_remembers_and_counts_once(monkeypatch):
    calls = []
    monkeypatch.setattr(Pairs, "_tick", lambda self: calls.append("tick"))
    whole, chunks = (made(Pairs, accumulate=k, optimizer=LARS) for k in (1, CHUNKS))
    calls.clear()
    for method in (whole, chunks):
        for _ in range(2):
            scalars = method.train_step(batch())
        assert int(method.optimizer.iterations) == 2
        assert float(scalars["places"]) == sum(i**2 for i in range(1, ROWS + 1))
    assert calls == ["tick"] * 4
    assert int(chunks.queue.next.numpy()) == 0
    names = tracing.named_variables(whole)
    for name, variable in tracing.named_variables(chunks).items():
        np.testing.assert_allclose(variable, names[name], 1e-4, 1e-5, err_msg=name)


def test_without_loops_the_same(monkeypatch):
    whole = derive(made(Pairs))
    method = made(Pairs, accumulate=CHUNKS)
    monkeypatch.setattr(distribute, "meets_in_loops", lambda: False)
    agree(derive(method).gradients, whole.gradients)


def test_arithmetic_is_that_of_one_more_forward_pass():
    def products(count):
        method = made(Alone if count is None else Pairs, accumulate=count or 1)
        step = tf.function(
            lambda b: method._derive(b, method.trainable_variables, lambda x: x),
            autograph=False,
        )
        found = flops.of_graph(step.get_concrete_function(batch()).graph)
        assert found.loops == found.unknown == 0
        return found.products

    forward = 2 * 2 * ROWS * 4 * WIDTH
    assert products(CHUNKS) == products(1) + forward


def test_outputs_without_a_row_for_each_example(monkeypatch):
    monkeypatch.setattr(
        Pairs, "forward", lambda self, b: {"z": tf.reduce_mean(b["views"][0], 0)}
    )
    chunks = accumulation.Chunks(2, Pairs().forward, lambda outputs: outputs)
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch())
    with pytest.raises(ValueError, match=r"Of 12 examples .* 'z' is \(4,\)"):
        chunks.prepare(spec, [])


@pytest.mark.slow
def test_replicas_and_chunks_agree(pytestconfig, tmp_path):
    # With batch norm: a chunk holds the same images on any number of replicas.
    found = {}
    for count in (1, 2):
        out = tmp_path / f"{count}.npz"
        command = [sys.executable, "-m", "tests.accumulated", f"--replicas={count}"]
        command += ["--accumulate=2", "--method=SimCLR", "--method=BYOL"]
        command += [f"--out={out}"]
        subprocess.run(command, check=True, cwd=pytestconfig.rootpath)
        found[count] = dict(np.load(out))
    assert list(found[1]) == list(found[2])
    for name, one in found[1].items():
        # See conformance/replicas_test.py.
        bound = 2e-5 * max(1e-2, float(np.abs(one).max()))
        np.testing.assert_allclose(found[2][name], one, 0, bound, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SwAV", "MAE"])
def test_step_in_chunks_compiles_under_xla(name):
    (entry,) = (e for e in registry.entries("method") if e.name == name)
    bench = harness.Bench(entry)
    data = bench.batch(0)
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, data)
    bench.method._accumulate(4, spec)
    start = [v.numpy() for v in bench.method.variables]
    plain = bench.method.train_step(data)["loss"]
    for variable, value in zip(bench.method.variables, start, strict=True):
        variable.assign(value)
    bench.method.optimizer.iterations.assign(0)
    step = tf.function(bench.method.train_step, jit_compile=True, autograph=False)
    np.testing.assert_allclose(step(data)["loss"], plain, rtol=1e-4)
