"""Whole runs log the same losses on four replicas as on one."""

import subprocess
import sys

import numpy as np
import pytest

from keras_ssl.core import run_dir
from tests.proofs_test import METHODS
from tests.readme_test import ROOT

RUNS = {"one": 1, "mirrored": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for each strategy, and in it a run of each recipe."""
    folder = tmp_path_factory.mktemp("strategies")
    for strategy, devices in RUNS.items():
        command = [sys.executable, "-m", "tests.strategies", *METHODS]
        command += [f"--strategy={strategy}", f"--cpu_devices={devices}"]
        command += [f"--out={folder / strategy}"]
        subprocess.run(command, check=True, cwd=ROOT)
    return folder


@pytest.mark.proof
@pytest.mark.parametrize("method", METHODS)
def test_four_replicas_log_the_losses_of_one(method, folder):
    one, many = (
        run_dir.read_lines(folder / strategy / method / run_dir.METRICS)
        for strategy in RUNS
    )
    assert [line["step"] for line in many] == [line["step"] for line in one]
    a, b = (np.array([line["loss"] for line in lines]) for lines in (one, many))
    # As many digits as are logged.
    np.testing.assert_allclose(b, a, rtol=2e-5, atol=2e-6)
