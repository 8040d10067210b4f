"""Every registered method, or a plugin's, in each test that asks for an `entry`."""

import subprocess
import sys

import numpy as np
import pytest

from tests import harness


def pytest_generate_tests(metafunc):
    if "entry" in metafunc.fixturenames:
        entries = harness.methods(metafunc.config.getoption("--plugin"))
        metafunc.parametrize("entry", entries, ids=lambda e: e.name, scope="module")


@pytest.fixture(scope="module")
def gin_file(pytestconfig):
    return pytestconfig.getoption("--gin_file")


@pytest.fixture(scope="module")
def on_replicas(pytestconfig, gin_file, tmp_path_factory):
    """Runs `replicas.py` with further words, a process for each list of them.

    All at once: tracing is what takes time, and keeps one core busy.
    """
    shared = [f"--plugin={p}" for p in pytestconfig.getoption("--plugin")]
    shared += [f"--gin_file={gin_file}"] if gin_file else []
    folder, root = tmp_path_factory.mktemp("replicas"), pytestconfig.rootpath

    def run(*runs):
        command = [sys.executable, "-m", "tests.replicas", *shared]
        files = [folder / f"{i}.npz" for i in range(len(runs))]
        processes = [
            subprocess.Popen([*command, *words, f"--out={file}"], cwd=root)
            for words, file in zip(runs, files, strict=True)
        ]
        assert [p.wait() for p in processes] == [0] * len(processes)
        return [_by_run(file) for file in files]

    return run


def _by_run(path):
    """What was measured in each run of a process, by its name."""
    found = {}
    with np.load(path) as data:
        for key, value in data.items():
            run, name = key.split("/", 1)
            found.setdefault(run, {})[name] = value
    return found
