"""What pip installs, not only the clone: commands and configurations work anywhere."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel of the clone, unpacked where nothing else is; returns its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("keras_ssl-*.whl")
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    return site


@pytest.fixture
def command(installed, tmp_path):
    """Runs a console script of the wheel in an empty folder."""

    def call(name, *words):
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, installed / "bin" / name, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return call


def test_lists_what_the_wheel_has(command):
    done = command("keras-ssl-list", "--kind=method", "--format=json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["SimCLR"]["config"] == "methods/simclr.gin"
    assert rows["SimCLR"]["year"] == 2020
    assert set(rows["SimCLR"]) == {
        "name",
        "summary",
        "paper",
        "year",
        "family",
        "config",
    }


def test_has_what_a_report_is_made_of(installed):
    runs = installed / "keras_ssl" / "runs"
    assert {path.name for path in runs.glob("report.*")} == {
        *("report.py", "report.html", "report.css", "report.js"),
    }
    assert (installed / "bin" / "keras-ssl-report").exists()


@pytest.mark.slow
def test_trains_evaluates_exports_and_draws(command, installed, tmp_path):
    done = command(
        "keras-ssl-train",
        "--gin_file=methods/simclr.gin",
        "--gin_file=tiny.gin",
        "--gin=OnlineEvaluation.every_epochs = 0",
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "simclr"
    record = json.loads((run / "run.json").read_text())
    # It is the wheel that ran: the clone would have told its commit.
    assert record["commit"] is None
    done = command(
        "keras-ssl-evaluate",
        f"--run_dir={run}",
        "--evaluation=knn",
        "--subject=raw_pixels",
        "--train_split=train[:64]",
        "--test_split=test[:64]",
    )
    assert done.returncode == 0, done.stderr
    assert "raw_pixels" in done.stdout
    done = command("keras-ssl-export", f"--run_dir={run}", "--out=encoder")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "encoder" / "saved_model.pb").exists()
    done = command("keras-ssl-show-views", "--gin_file=methods/simclr.gin")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "views.png").stat().st_size > 10_000


def test_mistakes_end_with_one_sentence(command, tmp_path):
    done = command("keras-ssl-train", "--gin_file=methods/simcrl.gin")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "methods/simclr.gin" in done.stderr
    assert not list(tmp_path.iterdir())
