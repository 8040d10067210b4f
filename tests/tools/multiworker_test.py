"""Two real processes train as one, and one that is lost ends the other."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_ssl.core import run_dir, weights_file

# Batch norm over replicas, a queue and a target.
RECIPE = ["--gin_file=methods/moco_v2.gin", "--gin_file=tiny.gin"]
RECIPE += ["--precision=float32"]
BARE = "--gin=train.evaluation = None"
ROOT = pathlib.Path(__file__).parents[2]


def addresses(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    finally:
        for one in held:
            one.close()


class Workers:
    """Processes of `tools/train.py` that share a run; what each says is kept."""

    def __init__(self, folder, words, others=None, count=2, started=None):
        others = others or {}
        hosts = addresses(count)
        self.logs, self.processes = [], []
        for index in range(count if started is None else started):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": hosts}, "task": task})
            self.logs.append(folder.with_name(f"{folder.name}_{index}.log"))
            command = [sys.executable, ROOT / "tools" / "train.py", *RECIPE]
            command += ["--strategy=multiworker", f"--run_dir={folder}"]
            with self.logs[-1].open("w") as log:
                self.processes.append(
                    subprocess.Popen(
                        [*command, *words, *others.get(index, [])],
                        env={**os.environ, "TF_CONFIG": config},
                        stdout=log,
                        stderr=log,
                    )
                )

    def wait(self, seconds=1500):
        """Statuses of all, which all end in time."""
        try:
            return [process.wait(seconds) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()

    def errors(self):
        """What each says last."""
        return [log.read_text().splitlines()[-1] for log in self.logs]


def mirrored(folder, replicas, *words):
    """The same run in one process."""
    command = [sys.executable, ROOT / "tools" / "train.py", *RECIPE, *words]
    command += ["--strategy=mirrored", f"--cpu_devices={replicas}", BARE]
    subprocess.run([*command, f"--run_dir={folder}"], check=True, capture_output=True)
    return folder


def losses(folder):
    rows = run_dir.read_lines(folder / run_dir.METRICS)
    return {row["step"]: (row["loss"], row["accuracy"]) for row in rows}


def weights(folder):
    paths = sorted((folder / run_dir.CHECKPOINTS).glob("*.npz"))
    return weights_file.load(paths[-1])[0]


def names(folder):
    """Everything in a run's directory, without the numbers in TensorBoard's names."""
    found = (path.relative_to(folder).parts for path in folder.rglob("*"))
    return {"/".join(part.split(".")[0] for part in parts) for parts in found}


@pytest.mark.slow
def test_two_workers_with_two_devices_each_train_as_four_replicas(tmp_path):
    workers = Workers(tmp_path / "workers", ["--cpu_devices=2"])
    assert workers.wait() == [0, 0], workers.errors()
    folder = tmp_path / "workers"
    record = run_dir.read_json(folder / run_dir.RUN)
    assert record["devices"] == "CollectiveAllReduceStrategy x4 CPU"
    assert record["status"] == "finished"
    # The chief alone writes: no line twice, one file of TensorBoard's.
    steps = [row["step"] for row in run_dir.read_lines(folder / run_dir.METRICS)]
    assert steps == list(range(1, 9))
    scored = run_dir.read_lines(folder / run_dir.EVALUATIONS)
    scored = [(r["step"], r["subject"], r["evaluation"]) for r in scored]
    assert len(set(scored)) == len(scored) == 8
    assert len(list((folder / run_dir.TENSORBOARD).glob("events*"))) == 1
    for name in (run_dir.EXPORT, run_dir.VIEWS, run_dir.CURVES):
        assert (folder / name).exists()

    one = mirrored(tmp_path / "one", 4)
    for step, value in losses(one).items():
        assert losses(folder)[step] == pytest.approx(value, rel=1e-5)
    want, got = weights(one), weights(folder)
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_lost_worker_ends_the_run_and_the_same_command_resumes_it(tmp_path):
    folder, checkpoints = tmp_path / "workers", tmp_path / "workers/checkpoints"
    words = [BARE, "--gin=Checkpoint.every_steps = 1", "--gin=train.epochs = 60"]
    workers = Workers(folder, words)
    end = time.monotonic() + 1500
    while not checkpoints.exists() or len(list(checkpoints.glob("step*"))) < 3:
        assert time.monotonic() < end
        assert [p.poll() for p in workers.processes] == [None, None], workers.errors()
        time.sleep(0.05)
    workers.processes[1].send_signal(signal.SIGKILL)
    begun = time.monotonic()
    assert workers.wait(60) == [1, -signal.SIGKILL]
    assert time.monotonic() - begun < 60
    said = workers.errors()[0]
    assert said.startswith("error: Worker 1 (127.0.0.1:")
    assert "is gone, so the run ends on every worker. Start all of them again" in said
    assert "Traceback" not in workers.logs[0].read_text()
    assert run_dir.read_json(folder / run_dir.RUN)["status"] in ("failed", "running")
    assert len(losses(folder)) < 240

    # Then one of them is asked to stop: both do, after the same step.
    workers, last = Workers(folder, words), max(losses(folder))
    while max(losses(folder)) < last + 2:
        assert time.monotonic() < end
        assert [p.poll() for p in workers.processes] == [None, None], workers.errors()
        time.sleep(0.05)
    workers.processes[1].send_signal(signal.SIGTERM)
    assert workers.wait(300) == [143, 143], workers.errors()
    assert workers.errors() == ["stopped; the same command resumes the run."] * 2
    record = run_dir.read_json(folder / run_dir.RUN)
    assert (record["status"], record["stopped"]) == ("stopped", "SIGTERM")

    workers = Workers(folder, words)
    assert workers.wait() == [0, 0], workers.errors()
    record = run_dir.read_json(folder / run_dir.RUN)
    assert record["resumed"] == 2
    assert 3 <= record["resumed_at"][0] < record["resumed_at"][1] < 240
    one = mirrored(tmp_path / "one", 2, *words[1:])
    assert losses(folder) == losses(one)
    # Two numbers have one sum: all is equal bit for bit.
    unbroken = run_dir.read_json(one / run_dir.RUN)
    assert record["weights_digest"] == unbroken["weights_digest"]


@pytest.mark.slow
def test_workers_that_do_not_fit_are_told_so_on_each(tmp_path):
    other = {1: ["--seed=1", "--gin=MoCo.temperature = 0.3"]}
    workers = Workers(tmp_path / "run", [BARE], other)
    assert workers.wait() == [2, 2]
    for said in workers.errors():
        assert said.startswith("error: The workers of a run must be alike: ")
        assert "MoCo.temperature is 0.2 at worker 0 and 0.3 at worker 1" in said
        assert "the seed is 0 at worker 0 and 1 at worker 1" in said
    workers = Workers(
        tmp_path / "run", [BARE, "--worker_timeout=2"], count=3, started=2
    )
    assert workers.wait() == [1, 1]
    for said in workers.errors():
        assert said.startswith("error: Worker 2 (127.0.0.1:")
        assert "did not arrive within 2 s" in said
    assert not (tmp_path / "run").exists()
