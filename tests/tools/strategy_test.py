"""The trainer on virtual replicas: the same run as on one."""

import subprocess
import sys

import pytest

from keras_ssl.core import run_dir


@pytest.fixture(scope="module")
def trained(pytestconfig, tmp_path_factory):
    """Runs the trainer with given words, once for each."""
    folder = tmp_path_factory.mktemp("strategies")

    def train(name, *words):
        tool = pytestconfig.rootpath / "tools" / "train.py"
        common = ["--gin_file=methods/simclr.gin", "--gin_file=tiny.gin"]
        common += ["--precision=float32", f"--run_dir={folder / name}"]
        common += ["--gin=OnlineEvaluation.every_epochs = 0"]
        command = [sys.executable, tool, *common, *words]
        return subprocess.run(command, capture_output=True, text=True), folder / name

    return train


def test_two_replicas_train_as_one(trained):
    runs = {}
    for name, words in (
        ("one", ["--strategy=one"]),
        ("two", ["--strategy=mirrored", "--cpu_devices=2"]),
    ):
        done, folder = trained(name, *words)
        assert done.returncode == 0, done.stderr
        runs[name] = run_dir.read_lines(folder / run_dir.METRICS)
    record = run_dir.read_json(folder / run_dir.RUN)
    assert record["devices"] == "MirroredStrategy x2 CPU"
    assert (folder / run_dir.EXPORT / "saved_model.pb").exists()
    for one, two in zip(runs["one"], runs["two"], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["learning_rate"] == one["learning_rate"]


def test_batch_that_replicas_cannot_share(trained):
    words = ["--strategy=mirrored", "--cpu_devices=2", "--gin=train.batch_size = 15"]
    done, folder = trained("odd", *words)
    assert done.returncode == 2
    assert "error: batch_size 15 cannot be shared equally by 2" in done.stderr
    assert not folder.exists()
