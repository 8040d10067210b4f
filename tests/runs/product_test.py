"""Runs score and export the target where the paper evaluates it."""

import numpy as np
import pytest

from keras_ssl.core import run_dir
from keras_ssl.core.tracing import named_variables
from keras_ssl.runs import encoders, launch


@pytest.mark.parametrize("name", ["dino", "msn"])
def test_a_run_serves_its_target(name, tmp_path):
    recipe = [f"methods/{name}.gin", "tiny.gin"]
    words = ["train.evaluation = None", "target/cosine_momentum.base = 0.9"]
    launch.train(str(tmp_path), recipe, words, precision="float32")
    path = sorted((tmp_path / run_dir.CHECKPOINTS).glob("*.npz"))[-1]
    with np.load(path) as data:
        arrays = dict(data)
    encoder, meta = encoders.load(tmp_path)
    prefix = meta["prefix"]
    assert prefix.startswith("ema/")
    online = prefix.removeprefix("ema/")
    moved = 0
    for key, variable in named_variables(encoder).items():
        np.testing.assert_array_equal(variable, arrays[prefix + key])
        moved += np.any(variable.numpy() != arrays[online + key])
    assert moved
    record = run_dir.read_json(tmp_path / run_dir.RUN)
    assert record["parameters"]["encoder"] > 0
    with pytest.raises(ValueError, match="projector"):
        encoders.load(tmp_path, projector_layers=1)
