"""Every method gives the same numbers on any number of replicas."""

import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module")
def by_replicas(pytestconfig, tmp_path_factory):
    """What `replicas.py` found on 1, 2 and 4 replicas."""
    folder = tmp_path_factory.mktemp("replicas")
    words = [f"--plugin={p}" for p in pytestconfig.getoption("--plugin")]
    if gin_file := pytestconfig.getoption("--gin_file"):
        words.append(f"--gin_file={gin_file}")
    found = {}
    for count in (1, 2, 4):
        out = folder / f"{count}.npz"
        command = [sys.executable, "-m", "tests.replicas", *words]
        command += [f"--replicas={count}", f"--out={out}"]
        subprocess.run(command, check=True, cwd=pytestconfig.rootpath)
        found[count] = dict(np.load(out))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_agree(entry, by_replicas, replicas):
    one, many = by_replicas[1], by_replicas[replicas]
    mine = [name for name in one if name.startswith(f"{entry.name}/")]
    assert mine
    assert [n for n in many if n.startswith(f"{entry.name}/")] == mine
    for name in mine:
        # Relative to the tensor's largest entry: sums run in another order, and a
        # moving mean is a sum of far larger numbers (seen 1.2e-5). Momentums hold
        # gradients that have come through all norms (seen 3e-5 in the first layers).
        # A local negative or statistic differs by 1e-2 and more.
        relative = 5e-5 if "/optimizer/" in name else 2e-5
        # What is logged may be a mean of numbers of order 1 that cancel.
        least = 0.1 if "@" in name else 1e-2
        bound = relative * max(least, float(np.abs(one[name]).max()))
        np.testing.assert_allclose(many[name], one[name], 0, bound, err_msg=name)
