"""Replicas that share a batch find the losses and gradients of the whole batch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import distribute
from tests.losses.cases import CASES

REPLICAS = 2


def main(out):
    """Measures all cases on replicas; a process of its own, as strategies collide."""
    distribute.virtual_cpus(REPLICAS)
    strategy = distribute.make_strategy("mirrored")

    def step(args):
        return {
            name: case.measure(args[name], distribute.replicas())
            for name, case in CASES.items()
        }

    def share(context):
        replica = context.replica_id_in_sync_group
        return {
            name: {k: tf.constant(v) for k, v in case.share(replica, REPLICAS).items()}
            for name, case in CASES.items()
        }

    args = strategy.experimental_distribute_values_from_function(share)
    found = strategy.run(tf.function(step), args=(args,))
    flat = {}
    for name, (outputs, gradients) in found.items():
        for kind, values in (("out", outputs), ("d", gradients)):
            for key, value in values.items():
                local = strategy.experimental_local_results(value)
                flat[f"{name}/{kind}/{key}"] = np.stack(local)
    np.savez(out, **flat)


@pytest.fixture(scope="module")
def shared(pytestconfig, tmp_path_factory):
    out = tmp_path_factory.mktemp("replicas") / "found.npz"
    subprocess.run(
        [sys.executable, "-m", "tests.losses.replicas_test", str(out)],
        check=True,
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with np.load(out) as data:
        return dict(data)


def close(got, want, words):
    bound = 1e-5 * max(np.abs(want).max(), 1e-3)
    np.testing.assert_allclose(got, want, 2e-5, bound, err_msg=words)


@pytest.mark.parametrize("name", CASES)
def test_replicas_agree_with_one(shared, name):
    case = CASES[name]
    whole = {k: tf.constant(v) for k, v in case.share(0, 1).items()}
    outputs, gradients = case.measure(whole)
    for key, want in outputs.items():
        got = shared[f"{name}/out/{key}"]
        join = np.mean(got, axis=0)
        if case.rows is not None:
            join = np.concatenate(got, axis=case.rows)
        close(join, want.numpy(), key)
    for key, want in gradients.items():
        got, axis = shared[f"{name}/d/{key}"], case.axes[key]
        join = np.sum(got, axis=0) if axis is None else np.concatenate(got, axis)
        close(join, want.numpy(), f"gradient of {key}")


@pytest.mark.parametrize("name", ["barlow_twins", "cross_correlation", "update_center"])
def test_quantities_of_the_whole_batch_are_the_same_everywhere(shared, name):
    first, second = shared[f"{name}/out/out"]
    np.testing.assert_array_equal(first, second)


if __name__ == "__main__":
    main(sys.argv[1])
