"""The quickstart reaches its goals: minutes, so it is slow."""

import subprocess
import sys

import pytest

from keras_ssl.core import run_dir


@pytest.mark.slow
def test_quickstart_learns(pytestconfig, tmp_path):
    tool = pytestconfig.rootpath / "tools" / "train.py"
    subprocess.run([sys.executable, tool], check=True, cwd=tmp_path)
    folder = tmp_path / "runs" / "quickstart"
    record = run_dir.read_json(folder / run_dir.RUN)
    top1 = {
        row["subject"]: row["top1"]
        for row in run_dir.read_lines(folder / run_dir.EVALUATIONS)
        if row["evaluation"] == "knn" and row["step"] in (0, record["total_steps"])
    }
    assert top1["raw_pixels"] <= 0.35
    assert top1["encoder"] >= 0.65
    assert top1["encoder"] >= 0.30 + max(top1["raw_pixels"], top1["random_init"])
    # Nor is a run that learns ever taken for one that does not.
    states = {row["level"] for row in run_dir.read_lines(folder / run_dir.HEALTH)}
    assert states == {"healthy"}
