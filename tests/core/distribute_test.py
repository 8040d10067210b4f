"""Collectives over two replicas run in a process of their own."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import distribute, tpus

TWO_REPLICAS = """
import json
import keras
import numpy as np
import tensorflow as tf
from keras_ssl.core import distribute
from keras_ssl.layers.batch_norm import BatchNorm
from keras_ssl.losses import nt_xent, nt_xent_accuracy

distribute.virtual_cpus(2)
strategy = distribute.make_strategy("mirrored")
x = np.random.default_rng(0).normal(size=(2, 3, 2)).astype("float32")
w = np.random.default_rng(1).normal(size=(2, 6, 2)).astype("float32")

def spread(values):
    return strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(values[c.replica_id_in_sync_group]))

def join(value):
    return np.stack(strategy.experimental_local_results(value)).tolist()

def step(x, w):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        gathered = distribute.gather(x)
        losses = {
            "gather": tf.reduce_sum(gathered * w),
            "mean": tf.reduce_sum(distribute.mean(x) * w[:3]),
            "total": tf.reduce_sum(distribute.total(x) * w[:3]),
            "nt_xent": nt_xent(x, x[:, ::-1], 0.5),
        }
    found = {f"d_{k}": tape.gradient(v, x) for k, v in losses.items()}
    return found | {
        "loss": losses["nt_xent"],
        "accuracy": nt_xent_accuracy(x, x[:, ::-1]),
        "gathered": gathered,
        "mean": distribute.mean(x),
        "total": distribute.total(x),
        "first": distribute.first_row(x),
        "normed": norm(x, training=True),
    }

def rows_of_eight(share):
    cut = share.cut(8, 64)
    rows = tf.data.Dataset.range(10).flat_map(lambda step: tf.data.Dataset.range(
        8 * step + cut.first, 8 * step + cut.first + cut.rows))
    return rows.batch(cut.local, drop_remainder=True)

with strategy.scope():
    norm = BatchNorm()
    norm.build((None, 2))
    found = strategy.run(tf.function(step), args=(spread(x), spread(w)))
    iterator = iter(distribute.batches(rows_of_eight, strategy))
    found |= {"batch": next(iterator), "next_batch": next(iterator)}
    outside = {
        "replicas": distribute.replicas(),
        "local": distribute.local_batch_size(8),
        "chief": distribute.is_chief(),
        "devices": distribute.devices(),
    }
    try:
        distribute.local_batch_size(7)
    except ValueError as error:
        outside["error"] = str(error)
found = {name: join(value) for name, value in found.items()}
found["moving"] = norm.moving_variance.numpy().tolist()
print(json.dumps({"x": x.tolist(), "w": w.tolist(), **found, **outside}))
"""


@pytest.fixture(scope="module")
def two(pytestconfig):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TWO_REPLICAS)],
        check=True,
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    found = json.loads(run.stdout.decode().splitlines()[-1])
    return {k: np.array(v) if isinstance(v, list) else v for k, v in found.items()}


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_gather_joins_replicas_in_order(two):
    both = two["x"].reshape(6, 2)
    close(two["gathered"], [both, both])
    np.testing.assert_array_equal(two["first"], [0, 3])


def test_replicas_see_the_rows_of_a_batch_in_their_order(two):
    np.testing.assert_array_equal(two["batch"], [[0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(two["next_batch"], [[8, 9, 10, 11], [12, 13, 14, 15]])


def test_gather_sends_back_the_sum_of_all_losses(two):
    close(two["d_gather"], two["w"].sum(0).reshape(2, 3, 2))


def test_mean_and_total_with_gradients(two):
    close(two["mean"], [two["x"].mean(0)] * 2)
    close(two["total"], [two["x"].sum(0)] * 2)
    close(two["d_mean"], [two["w"][:, :3].mean(0)] * 2)
    close(two["d_total"], [two["w"][:, :3].sum(0)] * 2)


def test_nt_xent_over_replicas_is_that_of_the_whole_batch(two):
    x = tf.constant(two["x"].reshape(6, 2), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = losses.nt_xent(x, x[:, ::-1], 0.5)
    close(two["loss"].mean(), loss)
    # Each replica's loss is a mean over its half; their sum is twice the whole's.
    close(two["d_nt_xent"].reshape(6, 2), 2 * tape.gradient(loss, x))
    close(two["accuracy"].mean(), losses.nt_xent_accuracy(x, x[:, ::-1]))


def test_batch_norm_over_replicas_is_that_of_the_whole_batch(two):
    both = two["x"].reshape(6, 2)
    want = (both - both.mean(0)) / np.sqrt(both.var(0) + 1e-5)
    close(two["normed"].reshape(6, 2), want)
    close(two["moving"], 0.9 + 0.1 * both.var(0))


def test_what_two_replicas_say_of_themselves(two):
    assert (two["replicas"], two["local"], two["chief"]) == (2, 4, True)
    assert two["devices"] == "MirroredStrategy x2 CPU"
    assert "batch_size 7 cannot be shared equally by 2 replicas" in two["error"]
    assert two["error"].endswith("take a multiple of 2, such as 6 or 8.")


def test_one_replica_meets_nobody():
    x = tf.ones([3, 2])
    for function in (distribute.gather, distribute.mean, distribute.total):
        assert function(x) is x
    assert int(distribute.first_row(x)) == 0
    assert distribute.rows(x) == 3
    assert distribute.replicas() == 1
    assert distribute.is_chief()
    assert distribute.make_strategy("one") is tf.distribute.get_strategy()
    assert distribute.devices().startswith("_DefaultDistributionStrategy x1 ")


@pytest.mark.parametrize(
    ("batch", "count", "words"),
    [
        (10, 4, "batch_size 10 cannot .* by 4 replicas; .* such as 8 or 12"),
        (3, 4, "such as 4"),
        (0, 1, "such as 1"),
        (-2, 2, "such as 2"),
    ],
)
def test_batches_that_cannot_be_shared(monkeypatch, batch, count, words):
    monkeypatch.setattr(distribute, "replicas", lambda: count)
    with pytest.raises(ValueError, match=words + r"\.$"):
        distribute.local_batch_size(batch)


@pytest.mark.parametrize(("batch", "count"), [(12, 4), (1, 1), (4, 4)])
def test_batches_are_shared(monkeypatch, batch, count):
    monkeypatch.setattr(distribute, "replicas", lambda: count)
    assert distribute.local_batch_size(batch) == batch // count


def test_unknown_strategy_and_no_devices():
    with pytest.raises(ValueError, match=r"Unknown strategy 'two'; .* auto, one, mirr"):
        distribute.make_strategy("two")
    with pytest.raises(ValueError, match="cpu_devices must be at least 1, got 0"):
        distribute.virtual_cpus(0)


class Counting(distribute.Model):
    """Its scalars count the steps and show the batch."""

    def __init__(self):
        super().__init__()
        self.steps = self.add_weight(shape=(), name="steps", initializer="zeros")

    def train_step(self, batch):
        self.steps.assign_add(1.0)
        return {"step": self.steps.value, "batch": tf.reduce_mean(batch)}


@pytest.mark.parametrize("count", [1, 3])
def test_train_function_returns_means_over_steps(count):
    model = Counting()
    model.compile(optimizer="sgd", steps_per_execution=count)
    dataset = tf.data.Dataset.range(100).batch(2).map(lambda x: tf.cast(x, tf.float32))
    iterator, function = iter(dataset), model.make_train_function()
    assert model.make_train_function() is function
    for call in range(2):
        got = {k: float(v) for k, v in function(iterator).items()}
        steps = np.arange(call * count, (call + 1) * count)
        assert got == {"step": steps.mean() + 1, "batch": 2 * steps.mean() + 0.5}
    assert model.make_train_function(force=True) is not function


@pytest.mark.parametrize("count", [1, 2])
def test_fit_logs_the_last_steps_scalars(count):
    model, seen = Counting(), []
    model.compile(optimizer="sgd", steps_per_execution=count)
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(float(logs["step"]))
    )
    data = tf.data.Dataset.from_tensors(tf.zeros([2])).repeat()
    model.fit(data, steps_per_epoch=4, epochs=2, verbose=0, callbacks=[record])
    assert seen == ([*map(float, range(1, 9))] if count == 1 else [1.5, 3.5, 5.5, 7.5])
    assert model.metrics == []


def test_time_spent_waiting_for_data_is_counted():
    model = Counting()
    model.compile(optimizer="sgd")

    def slow():
        for _ in range(2):
            time.sleep(0.05)
            yield tf.zeros([1])

    function, iterator = model.make_train_function(), slow()
    function(iterator)
    function(iterator)
    assert 0.1 <= model.seconds_waiting < 5


def refused_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def test_tpus_that_are_not_there(monkeypatch):
    # Nobody answers where Google's machines are told their names.
    monkeypatch.setattr(tpus, "_METADATA", ("127.0.0.1", refused_port()))
    monkeypatch.delenv("TPU_NAME", raising=False)
    begun = time.monotonic()
    for name, words in (
        ("nosuch", r"No TPU 'nosuch': 127.* does not answer \(Connection refused\)"),
        ("", "No TPU '': TensorFlow sees none at this machine"),
        (f"grpc://127.0.0.1:{refused_port()}", "Check the address, and that the TPU"),
        ("grpc://host", r"an address is written grpc://host:port\."),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            distribute.make_strategy("tpu", name)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 5


def test_a_tpu_that_tensorflow_refuses(monkeypatch):
    def refuse(name):
        raise RuntimeError(f"no {name}\n  a long story")

    monkeypatch.setattr(tpus, "_unreachable", lambda name: "")
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", refuse)
    with pytest.raises(ValueError, match=r"^No TPU 'a': no a$"):
        distribute.make_strategy("tpu", "a")
    with pytest.raises(ValueError, match="tpu='a' needs the strategy tpu, got 'one'"):
        distribute.make_strategy("one", "a")


def test_virtual_cpus_beside_gpus(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * 2)
    with pytest.raises(
        ValueError, match=r"cpu_devices=2 .* there are 2\. Leave it out"
    ):
        distribute.virtual_cpus(2)


def test_several_workers_need_to_be_named(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="multiworker needs the environment variable"):
        distribute.make_strategy("multiworker")
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(ValueError, match="TF_CONFIG is not JSON"):
        distribute.make_strategy("multiworker")


@pytest.mark.parametrize(
    ("jobs", "job", "number", "chief"),
    [
        (("worker",), "worker", 0, True),
        (("worker",), "worker", 1, False),
        (("chief", "worker"), "chief", 0, True),
        # Beside a chief the first worker is none.
        (("chief", "worker"), "worker", 0, False),
    ],
)
def test_one_of_all_workers_is_the_chief(monkeypatch, jobs, job, number, chief):
    spec = types.SimpleNamespace(jobs=jobs)
    resolver = types.SimpleNamespace(
        task_type=job, task_id=number, cluster_spec=lambda: spec
    )
    strategy = types.SimpleNamespace(cluster_resolver=resolver)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    assert distribute.is_chief() is chief
