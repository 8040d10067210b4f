"""What is computed in which type, and how float16 trains."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import precision, registry, tracing, weights_file
from keras_ssl.core.precision import Choice
from keras_ssl.encoders.vit import ViT
from keras_ssl.optimizers import SGD
from tests import harness
from tests.conformance import short_types

FLOAT16 = "mixed_float16"


@pytest.fixture
def device(monkeypatch, tmp_path):
    """Pretends that the machine has these devices and processor flags."""

    def pretend(kinds=(), details=(), flags=""):
        info = tmp_path / "cpuinfo"
        info.write_text(f"flags : sse {flags}")
        monkeypatch.setattr(precision, "_CPU_INFO", info)
        monkeypatch.setattr(
            tf.config,
            "list_physical_devices",
            lambda kind: [kind] * (kind in kinds) * max(1, len(details)),
        )
        found = iter(details)
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", lambda _: next(found)
        )

    return pretend


AMPERE = {"device_name": "A100", "compute_capability": (8, 0)}
TURING = {"device_name": "T4", "compute_capability": (7, 5)}


@pytest.mark.parametrize(
    ("kinds", "details", "flags", "policy", "word"),
    [
        (["TPU"], [], "", "mixed_bfloat16", "TPU"),
        (["GPU"], [AMPERE], "", "mixed_bfloat16", "A100"),
        (["GPU"], [TURING], "amx_bf16", "float32", "T4"),
        (["GPU"], [AMPERE, TURING], "", "float32", "T4"),
        (["GPU"], [{}], "", "float32", "no bfloat16"),
        ([], [], "amx_bf16", "mixed_bfloat16", "AMX"),
        ([], [], "avx512_bf16", "float32", "no AMX"),
    ],
)
def test_auto_asks_the_device(device, kinds, details, flags, policy, word):
    device(kinds, details, flags)
    choice = precision.choose("auto")
    assert choice.policy == policy == keras.config.dtype_policy().name
    assert word in choice.reason
    assert str(choice).startswith(f"{policy} (auto: ")


def test_a_name_is_taken_as_it_is():
    assert precision.choose("mixed_float16") == Choice("mixed_float16")
    assert str(precision.choose("float32")) == "float32"
    with pytest.raises(ValueError, match="one of auto, float32"):
        precision.choose("bfloat16")


def simclr():
    return next(e for e in registry.entries("method") if e.name == "SimCLR")


# Of float16 some are enough, as conformance sees bfloat16 in all: one without a memory,
# others with one.
SOME = [e for e in harness.methods() if e.name in ("SimCLR", "NNCLR", "ReSSL")]


@pytest.mark.slow
@pytest.mark.parametrize("entry", SOME, ids=lambda e: e.name)
def test_only_products_are_computed_in_16_bits(entry, monkeypatch):
    short_types.check_step(entry, None, FLOAT16, monkeypatch)


def test_norms_of_tokens_are_not_computed_in_16_bits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = ViT(patch_size=8, width=16, depth=2, heads=2, image_size=32)
    images = tf.random.stateless_uniform([4, 32, 32, 3], [0, 1])
    assert encoder(images).dtype == tf.float32

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(x, training=True) ** 2)
        return tape.gradient(loss, [v.value for v in encoder.trainable_variables])

    traced = tf.function(step, autograph=False).get_concrete_function(images)
    found = short_types.operations(traced.graph)
    assert any(op.type == "Rsqrt" or "BatchNorm" in op.type for op in found)
    short_types.check_types(found, tf.bfloat16)
    assert all(gradient.dtype == tf.float32 for gradient in traced.outputs)
    assert {v.dtype for v in encoder.variables} == {"float32"}


def test_a_float16_step_is_that_of_float32():
    moved = {}
    for policy in ("float32", FLOAT16):
        bench = harness.Bench(simclr(), precision=policy, optimizer=SGD)
        start = weights_file.values(tracing.named_variables(bench.method))
        bench.steps(1)
        end = weights_file.values(tracing.named_variables(bench.method))
        moved[policy] = np.concatenate([(end[k] - start[k]).ravel() for k in start])
    want, got = moved["float32"], moved[FLOAT16]
    assert np.linalg.norm(want) > 0
    # float16 keeps three digits; a gradient that kept its scale would be 2**15 off.
    assert np.linalg.norm(got - want) < 0.02 * np.linalg.norm(want)


def test_float16_trains():
    bench = harness.Bench(simclr(), precision=FLOAT16, rows=8)
    losses = [step["loss"] for step in bench.steps(30, same=True)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_a_step_that_overflows_is_skipped_and_counted():
    bench = harness.Bench(simclr(), precision=FLOAT16)
    optimizer = bench.method.optimizer
    bench.steps(1)
    optimizer.dynamic_scale.assign(2.0**60)
    trained = {id(v) for v in bench.method.trainable_variables}
    slots = optimizer.inner_optimizer.variables[2:]
    kept = [v for v in bench.method.variables if id(v) in trained] + slots
    before = [v.numpy() for v in kept]
    bench.steps(1, first=1)
    for old, variable in zip(before, kept, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert float(optimizer.dynamic_scale) == 2.0**59
    assert int(optimizer.iterations) == 2
    optimizer.dynamic_scale.assign(2.0**10)
    bench.steps(1, first=2)
    assert int(optimizer.iterations) == 3
    assert any((v.numpy() != old).any() for v, old in zip(kept, before, strict=True))


def test_a_checkpoint_keeps_the_scale(tmp_path):
    first = harness.Bench(simclr(), precision=FLOAT16)
    first.method.optimizer.dynamic_scale.assign(2.0**60)
    first.steps(2)
    weights_file.save(tmp_path / "w.npz", weights_file.values(first.state), {})
    expected = first.steps(1, first=2)
    second = harness.Bench(simclr(), precision=FLOAT16, seed=1)
    weights_file.assign(second.state, weights_file.load(tmp_path / "w.npz")[0], "w")
    assert float(second.method.optimizer.dynamic_scale) == 2.0**58
    assert second.steps(1, first=2) == expected
    assert float(second.method.optimizer.dynamic_scale) == 2.0**57


_REPLICAS = """
import json
import keras, tensorflow as tf
from keras_ssl.core import distribute, precision
distribute.virtual_cpus(2)
strategy = distribute.make_strategy("mirrored")
with strategy.scope():
    weight = keras.Variable([1.0, 2.0])
    inner = keras.optimizers.SGD(1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
    optimizer.build([weight])

@tf.function
def step(bad):
    def one():
        replica = distribute.first_row(tf.zeros([1]))
        gradient = tf.where(replica == bad, float("inf"), optimizer.scale_loss(1.0))
        precision.apply_gradients(optimizer, [tf.fill([2], gradient)], [weight])
    strategy.run(one)

found = []
for bad in (-1, 1, 0, -1):
    step(tf.constant(bad))
    values = (weight, optimizer.dynamic_scale, optimizer.iterations)
    flat = [tf.reshape(tf.convert_to_tensor(v.value), [-1]).numpy() for v in values]
    found.append([float(x) for value in flat for x in value])
print(json.dumps(found))
"""


def test_replicas_skip_a_step_together(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", _REPLICAS],
        capture_output=True,
        text=True,
        cwd=pytestconfig.rootpath,
    )
    assert done.returncode == 0, done.stderr
    # The weights, the scale, the steps: gradients of both replicas are summed.
    assert json.loads(done.stdout.splitlines()[-1]) == [
        [-1.0, 0.0, 4.0, 1],
        [-1.0, 0.0, 2.0, 2],
        [-1.0, 0.0, 1.0, 3],
        [-3.0, -2.0, 1.0, 4],
    ]
