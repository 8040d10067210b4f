"""A run whose disk is full ends in one sentence, and goes on after room was made."""

import resource
import subprocess
import sys

import pytest

from keras_ssl.core import durable, run_dir
from keras_ssl.runs import export, launch
from tests import limits

RECIPE = ["methods/simclr.gin", "tiny.gin"]
WORDS = ["train.evaluation = None", "Checkpoint.every_steps = 3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch.train(str(folder), RECIPE, WORDS, precision="float32")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_run_goes_on_after_room_was_made(run, tmp_path, pytestconfig):
    whole, folder = run_dir.read_json(run / run_dir.RUN), tmp_path / "run"
    saved = run / run_dir.CHECKPOINTS / "step_000000008.npz"
    most = saved.stat().st_size // 2
    command = [sys.executable, pytestconfig.rootpath / "tools" / "train.py"]
    command += [f"--gin_file={name}" for name in RECIPE]
    command += [f"--gin={word}" for word in WORDS]
    done = subprocess.run(
        [*command, f"--run_dir={folder}", "--precision=float32"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert done.returncode == 74, done.stderr
    (last,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    path = folder / run_dir.CHECKPOINTS / "step_000000003.npz"
    assert last.startswith(f"error: Cannot write {path}: File too large. It takes ")
    assert "Make room, or raise the limit, and give the same command again" in last
    assert "Traceback" not in done.stderr
    assert "configurable" not in done.stderr
    assert run_dir.read_json(folder / run_dir.RUN)["status"] == "failed"
    assert list((folder / run_dir.CHECKPOINTS).iterdir()) == []
    launch.train(str(folder), RECIPE, WORDS, precision="float32")
    record = run_dir.read_json(folder / run_dir.RUN)
    assert (record["status"], record["resumed"]) == ("finished", 1)
    assert record["weights_digest"] == whole["weights_digest"]
    assert names(folder) == names(run)


@pytest.mark.slow
def test_an_export_that_does_not_fit_leaves_nothing(run, tmp_path):
    for most in (1000, 100_000):
        with (
            limits.file_size(most),
            pytest.raises(durable.WriteError, match=r"Cannot write .*out: .*Make room"),
        ):
            export.export(run, tmp_path / "out")
        assert names(tmp_path) == []
    export.export(run, tmp_path / "out")
    assert names(tmp_path) == ["out"]


@pytest.mark.slow
def test_half_an_export_of_a_killed_process_is_swept(run, tmp_path):
    (tmp_path / ".out.99999999" / "variables").mkdir(parents=True)
    export.export(run, tmp_path / "out")
    assert names(tmp_path) == ["out"]
