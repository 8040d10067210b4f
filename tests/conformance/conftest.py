"""Every registered method, or a plugin's, in each test that asks for an `entry`."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
def in_processes(pytestconfig, gin_file, tmp_path_factory):
    """Runs a module once for each list of words; returns the files that they write.

    Two at a time: tracing is what takes time, and keeps one core busy.
    """
    shared = [f"--plugin={p}" for p in pytestconfig.getoption("--plugin")]
    shared += [f"--gin_file={gin_file}"] if gin_file else []
    folder, root = tmp_path_factory.mktemp("processes"), pytestconfig.rootpath

    def run(module, *runs):
        command = [sys.executable, "-m", module, *shared]
        files = [folder / f"{i}" for i in range(len(runs))]
        commands = [
            [*command, *words, f"--out={file}"]
            for words, file in zip(runs, files, strict=True)
        ]
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda c: subprocess.run(c, check=True, cwd=root), commands))
        return files

    return run


@pytest.fixture(scope="module")
def on_replicas(in_processes):
    """Runs `replicas.py`; what each process measured, by method or mutation."""
    return lambda *runs: [_by_run(f) for f in in_processes("tests.replicas", *runs)]


def _by_run(path):
    """What was measured in each run of a process, by its name."""
    found = {}
    with np.load(path) as data:
        for key, value in data.items():
            run, name = key.split("/", 1)
            found.setdefault(run, {})[name] = value
    return found
