"""What the reference implementations gave, and how a conversion is held against it."""

import json
import pathlib

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
# Images as the references get them.
PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}


def case(name):
    """Specification, arrays and state dict of a reference."""
    spec = json.loads((GOLDEN / f"{name}.json").read_text())
    with np.load(GOLDEN / f"{name}.npz") as data:
        arrays = dict(data)
    state = {k.removeprefix("sd/"): v for k, v in arrays.items() if k.startswith("sd/")}
    return spec, arrays, state


def assert_golden(spec, arrays, got):
    assert set(got) == set(spec["returns"])
    for name, value in got.items():
        want = arrays[f"out_{name}"]
        assert tuple(value.shape) == want.shape
        np.testing.assert_allclose(
            value, want, spec["rtol"], spec["atol"], err_msg=name
        )


def assert_refused(convert, state, model, words):
    """A state dict, where None stands for a name that is left out, changes nothing."""
    model.build(None)
    before = model.get_weights()
    state = {k: v for k, v in state.items() if v is not None}
    with pytest.raises(ValueError, match=words):
        convert(state, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
