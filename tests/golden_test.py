"""Numbers of the papers' own code: see each case's `source` and `notes`.

The operations of `augmentations` are held against theirs in their own tests, and the
parameter counts and networks in those of the encoders and the converters.
"""

import importlib
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

GOLDEN = pathlib.Path(__file__).parent / "golden"
SPECS = {path.stem: json.loads(path.read_text()) for path in GOLDEN.glob("*.json")}
CASES = sorted(
    name
    for name, spec in SPECS.items()
    if not spec["symbol"].startswith("keras_ssl.augmentations")
    and spec["kind"] not in ("param_count", "encoder", "properties")
)
close = np.testing.assert_allclose


def resolve(symbol):
    module, _, name = symbol.rpartition(".")
    return getattr(importlib.import_module(module), name)


def named(out, returns):
    """Outputs of a function by name: from a dict, a tuple or a single tensor."""
    if not isinstance(out, dict):
        out = dict(zip(returns, [out] if len(returns) == 1 else out, strict=True))
    return {name: out[name] for name in returns}


def function(f, spec, data):
    args = {name: tf.constant(data[name]) for name in spec["args"]}
    stopped = spec.get("stop_gradient", [])
    watched = [n for n in spec["grads"] + stopped if args[n].dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch([args[n] for n in watched])
        out = named(f(*args.values(), **spec["kwargs"]), spec["returns"])
        total = tf.reduce_sum(out[spec["returns"][0]]) if spec["grads"] else None
    for name, value in out.items():
        assert tuple(value.shape) == data[f"out_{name}"].shape
        close(value, data[f"out_{name}"], spec["rtol"], spec["atol"], err_msg=name)
    if not spec["grads"]:
        return
    got = tape.gradient(total, {n: args[n] for n in watched})
    for name in spec["grads"]:
        want = data[f"grad_{name}"]
        bound = spec.get("grad_atol_rel", 0) * np.abs(want).max()
        rtol = spec.get("grad_rtol", spec["rtol"])
        close(got[name], want, rtol, max(bound, spec["atol"]), err_msg=name)
    for name in stopped:
        assert got.get(name) is None or not np.any(got[name])


def optimizer(f, spec, data):
    made = f(**spec["kwargs"])
    variables = {
        n: keras.Variable(data[f"var_{n}_init"], name=n) for n in spec["variables"]
    }
    made.build(list(variables.values()))
    assert len(spec["learning_rates"]) == spec["num_steps"]
    for t, rate in enumerate(spec["learning_rates"]):
        made.learning_rate = rate
        gradients = [tf.constant(data[f"grad_{n}_{t}"]) for n in variables]
        made.apply(gradients, list(variables.values()))
        for n, variable in variables.items():
            want = data[f"var_{n}_after_{t}"]
            close(variable.numpy(), want, spec["rtol"], spec["atol"], err_msg=n)


def schedule(f, spec, data):
    made = f(**spec["kwargs"])
    got = [float(made(int(step))) for step in data["steps"]]
    close(got, data["values"], spec["rtol"], spec["atol"])


def ema(f, spec, data):
    names = spec["variables"]
    target = [keras.Variable(data[f"target_{n}_init"], name=f"t_{n}") for n in names]
    online = [keras.Variable(data[f"online_{n}_0"], name=f"o_{n}") for n in names]
    for t in range(spec["num_steps"]):
        for n, variable in zip(names, online, strict=True):
            variable.assign(data[f"online_{n}_{t}"])
        f(target, online, **spec["kwargs"])
        for n, variable in zip(names, target, strict=True):
            want = data[f"target_{n}_after_{t}"]
            close(variable.numpy(), want, spec["rtol"], spec["atol"], err_msg=n)


KINDS = {f.__name__: f for f in (function, optimizer, schedule, ema)}


def test_vectors_are_here():
    assert len(CASES) >= 15
    assert {SPECS[name]["kind"] for name in CASES} == set(KINDS)


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    spec = SPECS[case]
    with np.load(GOLDEN / f"{case}.npz") as data:
        KINDS[spec["kind"]](resolve(spec["symbol"]), spec, data)
