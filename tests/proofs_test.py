"""Every method learns on the embedded set, by the recipe that is shipped."""

import subprocess
import sys

import pytest

from keras_ssl.core import config, run_dir
from tests.readme_test import ROOT

# kNN must be well above both baselines; the others' linear probe above the
# untrained encoder, since pixels are hard to beat for what predicts them.
BY_NEIGHBOURS = {"simclr", "byol"}
METHODS = [
    name.removeprefix("methods/").removesuffix(".gin")
    for name in config.shipped()
    if name.startswith("methods/")
]


@pytest.mark.proof
@pytest.mark.parametrize("method", METHODS)
def test_learns(method, tmp_path):
    command = [sys.executable, ROOT / "tools" / "train.py"]
    command += [f"--gin_file=methods/{method}.gin", f"--run_dir={tmp_path / 'run'}"]
    subprocess.run(command, check=True)
    steps = run_dir.read_json(tmp_path / "run" / run_dir.RUN)["total_steps"]
    seen = {}
    for row in run_dir.read_lines(tmp_path / "run" / run_dir.EVALUATIONS):
        if row["subject"] != "encoder" or row["step"] == steps:
            seen[row["subject"], row["evaluation"]] = row["top1"]
    if method in BY_NEIGHBOURS:
        baseline = max(seen["raw_pixels", "knn"], seen["random_init", "knn"])
        assert seen["encoder", "knn"] > baseline + 0.15
    else:
        assert seen["encoder", "linear"] > seen["random_init", "linear"]
