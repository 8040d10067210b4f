"""Every method's step is one that a TPU can run, as far as a CPU can tell."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def compiled(in_processes):
    """What `tests/compiled.py` found of each method."""
    (path,) = in_processes("tests.compiled", [])
    return json.loads(path.read_text())


@pytest.mark.slow
def test_step_compiles_under_xla(entry, compiled):
    found = compiled[entry.name]
    assert found["unfit"] == []
    assert found["error"] is None
    np.testing.assert_allclose(found["compiled"], found["plain"], rtol=1e-4)
