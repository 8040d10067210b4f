"""Runs that are asked to stop save, say so, and go on to the same end."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_ssl.core import lock, run_dir
from keras_ssl.core.registry import register
from keras_ssl.core.stopping import Stopped
from keras_ssl.runs import launch

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["methods/simclr.gin", "tiny.gin"]
# As late as may be: what is saved is what a stop saves.
WORDS = ["Checkpoint.every_epochs = 0", "Checkpoint.every_minutes = 0"]
WORDS += ["train.callbacks = [@SignalAt()]"]
BARE = [*WORDS, "train.evaluation = None"]


@register("callback", "SignalAt")
class SignalAt(keras.callbacks.Callback):
    """Sends this process a signal in the middle of a step, or in an evaluation.

    What it sends is set by the test, not by the configuration, which must not differ.
    """

    plan: dict = {}  # noqa: RUF012

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy()) + 1
        if number := self.plan.pop(step, None):
            os.kill(os.getpid(), number)

    def on_epoch_end(self, epoch, logs=None):
        number = self.plan.pop(f"epoch {epoch}", None)
        if number == "encoder":
            Signals.armed = True
        elif number:
            os.kill(os.getpid(), number)


@register("evaluation", "signals")
class Signals:
    """Sends a signal while it is scored."""

    score = "top1"
    armed = False

    def run(self, encode, data):
        data.features(encode)
        if self.armed:
            Signals.armed = False
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            raise RuntimeError("Nothing ended the evaluation.")
        return {"top1": 0.5}

    def protocol(self):
        return {}


def record(folder):
    return run_dir.read_json(folder / run_dir.RUN)


def checkpoints(folder):
    return sorted(p.name for p in (folder / run_dir.CHECKPOINTS).iterdir())


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    launch.train(str(folder), TINY, BARE, precision="float32")
    return record(folder)["weights_digest"]


@pytest.mark.parametrize(
    ("number", "why", "status"),
    [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)],
)
def test_the_step_is_finished_and_saved(tmp_path, digest, number, why, status):
    folder = tmp_path / "run"
    SignalAt.plan = {3: number}
    with pytest.raises(Stopped) as stop:
        launch.train(str(folder), TINY, BARE, precision="float32")
    assert stop.value.reason == (why, status)
    assert (record(folder)["status"], record(folder)["stopped"]) == ("stopped", why)
    assert checkpoints(folder) == ["step_000000003.npz"]
    assert not (folder / run_dir.EXPORT).exists()
    assert not (folder / lock.NAME).exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    launch.train(str(folder), TINY, BARE, precision="float32")
    done = record(folder)
    assert (done["status"], done["resumed_at"]) == ("finished", [3])
    assert "stopped" not in done
    assert done["weights_digest"] == digest


def test_before_the_first_step_nothing_is_saved(tmp_path, digest):
    folder = tmp_path / "run"
    SignalAt.plan = {1: signal.SIGTERM}
    with pytest.raises(Stopped):
        launch.train(str(folder), TINY, BARE, precision="float32")
    assert record(folder)["status"] == "stopped"
    assert not (folder / run_dir.CHECKPOINTS).exists()
    # A limit that is over while the run is built; and then one between two epochs.
    with pytest.raises(Stopped) as stop:
        launch.train(str(folder), TINY, BARE, precision="float32", max_seconds=1e-3)
    assert stop.value.reason.status == 75
    SignalAt.plan = {"epoch 0": signal.SIGINT}
    with pytest.raises(Stopped):
        launch.train(str(folder), TINY, BARE, precision="float32")
    assert checkpoints(folder) == ["step_000000004.npz"]
    launch.train(str(folder), TINY, BARE, precision="float32")
    assert record(folder)["weights_digest"] == digest
    # What is finished stays so.
    with pytest.raises(Stopped):
        launch.train(str(folder), TINY, BARE, precision="float32", max_seconds=1e-3)
    assert record(folder)["status"] == "finished"


def test_an_evaluation_is_ended_and_made_again(tmp_path):
    folder = tmp_path / "run"
    words = [*WORDS, "OnlineEvaluation.evaluations = (@signals(),)"]
    SignalAt.plan = {"epoch 0": "encoder"}
    with pytest.raises(Stopped):
        launch.train(str(folder), TINY, words, precision="float32")
    assert record(folder)["status"] == "stopped"
    assert checkpoints(folder) == ["step_000000004.npz"]
    launch.train(str(folder), TINY, words, precision="float32")
    rows = run_dir.read_lines(folder / run_dir.EVALUATIONS)
    assert [(r["step"], r["subject"]) for r in rows] == [
        (0, "raw_pixels"),
        (0, "random_init"),
        (4, "encoder"),
        (8, "encoder"),
    ]


def test_saves_by_the_clock_change_nothing(tmp_path, digest):
    folder = tmp_path / "run"
    words = [w.replace("every_minutes = 0", "every_minutes = 1e-9") for w in BARE]
    launch.train(str(folder), TINY, words, precision="float32")
    assert checkpoints(folder) == [f"step_{i:09d}.npz" for i in (6, 7, 8)]
    assert record(folder)["weights_digest"] == digest


def test_a_run_that_trains_is_not_trained_twice(tmp_path):
    folder = tmp_path / "run"
    with lock.held(folder):
        (folder / "mine").write_text("")
        with pytest.raises(ValueError, match="works on"):
            launch.train(str(folder), TINY, BARE, precision="float32")
    assert [p.name for p in folder.iterdir()] == ["mine"]


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_real_signal_from_outside(tmp_path, replicas):
    """Sent when a line says how far it is; then the same command, to the end."""
    strategy = "mirrored" if replicas > 1 else "one"
    command = [sys.executable, ROOT / "tools" / "train.py", "--precision=float32"]
    command += [f"--gin_file={name}" for name in TINY]
    command += [f"--strategy={strategy}", f"--cpu_devices={replicas}"]
    words = ["train.evaluation = None", "train.epochs = 30"]
    command += [f"--gin={word}" for word in words]
    folder = tmp_path / "run"
    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen([*command, f"--run_dir={folder}"], stderr=log)
    end = time.monotonic() + 1500
    while len(run_dir.read_lines(folder / run_dir.METRICS)) < 5:
        assert child.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < end
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    assert child.wait(600) == 143
    said = (tmp_path / "log").read_text()
    assert said.endswith("stopped; the same command resumes the run.\n")
    assert "Traceback" not in said
    step = int(checkpoints(folder)[-1][5:14])
    lines = run_dir.read_lines(folder / run_dir.METRICS)
    assert record(folder)["status"] == "stopped"
    assert lines[-1]["step"] == step < 120
    subprocess.run([*command, f"--run_dir={folder}"], check=True, capture_output=True)
    other = tmp_path / "unbroken"
    subprocess.run([*command, f"--run_dir={other}"], check=True, capture_output=True)
    assert record(folder)["resumed_at"] == [step]
    assert record(folder)["weights_digest"] == record(other)["weights_digest"]


def test_a_run_of_an_earlier_version_goes_on(tmp_path, digest):
    """As the last version without a format left it: no stamps, no notes, no health."""
    folder = tmp_path / "run"
    SignalAt.plan = {3: signal.SIGTERM}
    with pytest.raises(Stopped):
        launch.train(str(folder), TINY, BARE, precision="float32")
    path = folder / run_dir.CHECKPOINTS / "step_000000003.npz"
    with np.load(path) as data:
        arrays = {k: v for k, v in data.items() if k != "meta.json"}
    words = np.frombuffer(json.dumps({"step": 3}).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **{"meta.json": words}, **arrays)
    content = record(folder)
    for name in ("format", "written_by", "health", "stopped"):
        content.pop(name, None)
    run_dir.write_json(folder / run_dir.RUN, content)
    text = (folder / run_dir.CONFIG).read_text()
    assert "train.health = @Health()\n" in text
    text = text.replace("train.health = @Health()\n", "")
    (folder / run_dir.CONFIG).write_text(text)
    launch.train(str(folder), TINY, BARE, precision="float32")
    assert record(folder)["weights_digest"] == digest
    # Another change is one, and who wrote what does not fit is said.
    other = [*BARE, "SimCLR.temperature = 0.3"]
    with pytest.raises(ValueError, match=r"temperature was 0\.2, is now 0\.3"):
        launch.train(str(folder), TINY, other, precision="float32")
