"""The trainer on virtual replicas: the same run as on one."""

import subprocess
import sys

import pytest

from keras_ssl.core import run_dir
from keras_ssl.runs import launch

FILES = ["methods/simclr.gin", "tiny.gin"]
BINDINGS = ["train.evaluation = None"]


@pytest.fixture(scope="module")
def trained(pytestconfig, tmp_path_factory):
    """Runs the trainer with given words, once for each."""
    folder = tmp_path_factory.mktemp("strategies")

    def train(name, *words):
        tool = pytestconfig.rootpath / "tools" / "train.py"
        common = [f"--gin_file={file}" for file in FILES]
        common += [f"--gin={binding}" for binding in BINDINGS]
        common += ["--precision=float32", f"--run_dir={folder / name}"]
        command = [sys.executable, tool, *common, *words]
        return subprocess.run(command, capture_output=True, text=True), folder / name

    return train


def test_two_replicas_train_as_one(trained, tmp_path):
    done, folder = trained("two", "--strategy=mirrored", "--cpu_devices=2")
    assert done.returncode == 0, done.stderr
    record = run_dir.read_json(folder / run_dir.RUN)
    assert record["devices"] == "MirroredStrategy x2 CPU"
    assert (folder / run_dir.EXPORT / "saved_model.pb").exists()
    launch.train(
        str(tmp_path / "one"), FILES, BINDINGS, strategy="one", precision="float32"
    )
    one = run_dir.read_lines(tmp_path / "one" / run_dir.METRICS)
    two = run_dir.read_lines(folder / run_dir.METRICS)
    for a, b in zip(one, two, strict=True):
        # Adam turns the rounding of a tiny gradient into a step of full size.
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-3)
        assert b["learning_rate"] == a["learning_rate"]
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-5)


def test_batch_that_replicas_cannot_share(trained):
    words = ["--strategy=mirrored", "--cpu_devices=2", "--gin=train.batch_size = 15"]
    done, folder = trained("odd", *words)
    assert done.returncode == 2
    assert "error: batch_size 15 cannot be shared equally by 2" in done.stderr
    assert not folder.exists()
