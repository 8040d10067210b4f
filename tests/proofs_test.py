"""Every method learns on the embedded set, by the recipe that is shipped.

The tables of `tools/prove.py` show all of them on one budget instead.
"""

import functools
import subprocess
import sys

import pytest

from keras_ssl.core import config, run_dir
from keras_ssl.runs import prove_records
from tests.readme_test import ROOT

# kNN must be well above both baselines; the others' linear probe above the
# untrained encoder, since pixels are hard to beat for what predicts them.
BY_NEIGHBOURS = {"simclr", "byol"}
METHODS = [
    name.removeprefix("methods/").removesuffix(".gin")
    for name in config.shipped()
    if name.startswith("methods/")
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains a method by its recipe, once; returns the run's directory."""

    @functools.cache
    def train(method):
        folder = tmp_path_factory.mktemp(method) / "run"
        command = [sys.executable, ROOT / "tools" / "train.py"]
        command += [f"--gin_file=methods/{method}.gin", f"--run_dir={folder}"]
        subprocess.run(command, check=True)
        return folder

    return train


@pytest.mark.proof
@pytest.mark.parametrize("method", METHODS)
def test_learns(method, trained):
    scores = prove_records.final(trained(method))
    seen = {names: row["top1"] for names, row in scores.items()}
    if method in BY_NEIGHBOURS:
        baseline = max(seen["raw_pixels", "knn"], seen["random_init", "knn"])
        assert seen["encoder", "knn"] > baseline + 0.15
    else:
        assert seen["encoder", "linear"] > seen["random_init", "linear"]


@pytest.mark.proof
def test_scoring_costs_little(trained):
    # On a machine with other work the ratio says more of that work.
    seconds = run_dir.read_json(trained("simclr") / run_dir.RUN)["seconds"]
    assert seconds["online_evaluation"] <= 0.03 * seconds["training"]
