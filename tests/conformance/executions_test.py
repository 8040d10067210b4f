"""Several steps in one call are the steps one by one."""

import numpy as np
import pytest

from keras_ssl.core import tracing, weights_file
from tests import harness


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        # A target and a queue; and nothing but batch norms.
        "MoCo",
        "SimSiam",
    ],
)
def test_steps_in_one_execution_are_the_same(name):
    entry = {entry.name: entry for entry in harness.methods()}[name]
    found = []
    for count in (1, 2):
        bench = harness.Bench(entry, steps_per_execution=count)
        scalars = bench.steps(4)
        losses = np.array([s["loss"] for s in scalars], np.float32)
        losses = losses.reshape([2, -1]).mean(axis=1)
        names = tracing.named_variables(bench.method)
        by_id = {id(v): key for key, v in names.items()}
        names |= tracing.named_optimizer_variables(bench.method.optimizer, by_id)
        found.append(weights_file.values(names) | {"losses": losses})
    one, two = found
    assert one.keys() == two.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(two[key], value, err_msg=key)
