"""A plan starts nothing, says all that is wrong at once, and foresees the run."""

import pathlib
import subprocess
import sys

import pytest

from keras_ssl.core import config, distribute, run_dir
from keras_ssl.runs import launch, plan, plan_text, rehearsal

TINY = ["methods/simclr.gin", "tiny.gin"]
ALONE = "train.evaluation = None"


@pytest.fixture
def planned(monkeypatch):
    """Plans and returns the status and the report."""

    real = plan.plan

    def make(folder, *bindings, **settings):
        found = []

        def caught(*args, **given):
            found.append(real(*args, **given))
            return found[0]

        monkeypatch.setattr(plan, "plan", caught)
        status = launch.train(
            str(folder), TINY, bindings, precision="float32", plan=True, **settings
        )
        return status, found[0]

    return make


@pytest.fixture
def untried(monkeypatch):
    """Leaves out the trial of evaluations and steps, which takes a while."""
    monkeypatch.setattr(plan._Plan, "_rehearse", lambda self: None)


def contents(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_foresees_a_run_and_leaves_nothing(planned, tmp_path, capsys):
    status, report = planned(tmp_path / "run", ALONE)
    assert status == 0
    assert report["problems"] == report["notes"] == []
    assert not list(tmp_path.iterdir())
    printed = capsys.readouterr().out
    assert printed == plan_text.text(report) + "\n"
    for words in (
        "SimCLRViews.size = 32",
        "train.data = 'embedded:32'",
        "  8, 4 an epoch of 64 images",
        "GFLOP/s",
        "bound by  ",
        "Nothing was started",
    ):
        assert words in printed
    assert "%" not in printed.split("Run\n")[0]
    launch.train(str(tmp_path / "run"), TINY, [ALONE], precision="float32")
    record = run_dir.read_json(tmp_path / "run" / run_dir.RUN)
    assert report["steps"]["total"] == record["total_steps"]
    assert report["parameters"]["trained"] == record["parameters"]["trained"]
    assert report["checkpoint_bytes"] < _size(tmp_path / "run" / run_dir.CHECKPOINTS)
    assert set(report["memory"]) == set(record["peak_memory"])
    assert all(count > 100 << 20 for count in record["peak_memory"].values())
    assert report["flops"]["unknown"] == report["flops"]["loops"] == 0
    assert sum(report["time"][k] for k in _PARTS) == report["time"]["total"]
    before = contents(tmp_path)
    status, report = planned(tmp_path / "run", ALONE)
    assert status == 0
    assert contents(tmp_path) == before
    assert report["steps"]["start"] == 8
    assert "holds this run, finished" in plan_text.text(report)


_PARTS = ("starting", "training", "scoring", "saving")


def _size(folder):
    return max(path.stat().st_size for path in folder.iterdir())


@pytest.mark.usefixtures("untried")
def test_says_all_that_is_wrong(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(distribute, "replicas", lambda: 3)
    config.parse(TINY)
    run_dir.write_text(tmp_path / "run" / run_dir.CONFIG, config.texts()[0])
    before = contents(tmp_path)
    status, report = planned(
        tmp_path / "run",
        "train.batch_size = 65",
        "train.epochs = 0",
        "train.split = 'train[:32]'",
        "test_split = 'tset'",
        "LARS.momentum = 0.8",
        "LARS.nesterov = True",
        init_from=str(tmp_path / "none"),
    )
    assert status == 2
    text = "\n".join(report["problems"])
    for words in (
        "batch_size 65 cannot be shared equally by 3 replicas",
        "epochs and steps_per_execution must be at least 1, got 0",
        "holds a run with other settings",
        "none is neither a run",
        "more than the 32 images",
        "no split 'tset'",
        "Nothing uses the binding 'LARS.momentum",
        "Nothing uses the binding 'LARS.nesterov",
    ):
        assert words in text, words
    assert len(report["problems"]) == 8
    assert contents(tmp_path) == before
    assert "time" not in report
    assert plan_text.text(report).endswith(report["problems"][-1])


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("bindings", "problem"),
    [
        (["train.steps_per_execution = 3"], "steps_per_execution 3 must divide the 4"),
        (["rate/cosine.warmup_epochs = 2"], "warms up for all 8 steps"),
        (["data = 'embedded:33'"], "32, 64"),
        (["SimCLRViews.count = 1"], "needs 2 views"),
        (["train.learning_rate_scale = 'cubic'"], "linear, sqrt, none"),
    ],
)
def test_problem(planned, tmp_path, bindings, problem):
    status, report = planned(tmp_path / "run", ALONE, *bindings)
    assert status == 2
    assert any(problem in said for said in report["problems"])


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("bindings", "note"),
    [
        (["train.batch_size = 24"], "leaves out 16 of 64 images"),
        (["OnlineEvaluation.every_epochs = 2"], "scored before and after training"),
        (["Checkpoint.every_epochs = 3"], "No checkpoint falls within the run"),
        (["train.log_every_steps = 9"], "log_every_steps 9 is more than the 8"),
    ],
)
def test_note(planned, tmp_path, bindings, note):
    status, report = planned(tmp_path / "run", *bindings)
    assert status == 0
    assert len(report["notes"]) == 1
    assert note in report["notes"][0]


def test_loss_that_is_no_number_is_a_problem(planned, tmp_path):
    words = ["rate/cosine.base = 1e38", "rate/cosine.warmup_epochs = 0"]
    status, report = planned(tmp_path / "run", ALONE, *words)
    assert status == 2
    assert "Lower the learning rate" in report["problems"][0]


@pytest.mark.parametrize(
    ("data", "precision", "words"),
    [
        (0.3, "float32", ["data: ", "3.0 times as long", "cheaper views"]),
        (0.05, "float32", ["compute: ", "2.0 times as fast", "--precision=auto"]),
    ],
)
def test_what_bounds(data, precision, words):
    run = {"devices": "MirroredStrategy x2 GPU", "precision": precision}
    said = plan_text._bound({"data": data, "compute": 0.1, "step": 0.1}, run)
    assert all(word in said for word in words)


def test_typical_time_is_not_that_of_a_burst():
    # Data that come by the dozen make most steps fast, and the run slow.
    assert rehearsal._typical([0.1, 0.1, 0.1, 0.5] * 5) == pytest.approx(
        0.189, abs=1e-3
    )
    assert rehearsal._typical([0.1] * 19 + [9.0]) == pytest.approx(0.1)


@pytest.mark.proof
def test_estimates_are_within_a_quarter(pytestconfig, tmp_path):
    words = ["--gin=train.epochs = 4", "--gin=train.split = 'train[:5120]'"]
    words += ["--gin=OnlineEvaluation.limits = (2000, 500)"]
    words += [f"--run_dir={tmp_path / 'run'}"]
    tool = pytestconfig.rootpath / "tools" / "train.py"

    def call(*more):
        return subprocess.run(
            [sys.executable, tool, *words, *more],
            capture_output=True,
            text=True,
            check=True,
        )

    said = call("--plan").stdout
    call()
    record = run_dir.read_json(tmp_path / "run" / run_dir.RUN)
    memory = _mebibytes(said.split("peak memory  about ")[1])
    assert memory == pytest.approx(record["peak_memory"]["process"] / 2**20, rel=0.25)
    clock = said.split("in all    about ")[1].split(":  ")[0].split(": starting")[0]
    seconds = _seconds(clock)
    assert seconds == pytest.approx(record["seconds"]["total"], rel=0.25)


def _mebibytes(text):
    number, unit = text.split()[:2]
    return float(number) * (1024 if unit == "GiB" else 1)


def _seconds(text):
    if text.endswith(" s"):
        return float(text.removesuffix(" s"))
    parts = [float(part) for part in text.split(":")]
    return sum(part * 60**i for i, part in enumerate(reversed(parts)))


def test_binary_says_nothing_but_the_plan(pytestconfig, tmp_path):
    tool = pytestconfig.rootpath / "tools" / "train.py"
    words = ["--plan", "--gin_file=methods/simclr.gin", "--gin_file=tiny.gin"]
    words += ["--gin=train.batch_size = 65", "--precision=float32"]
    done = subprocess.run(
        [sys.executable, tool, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "- batch_size 65 is more than the 64 images" in done.stdout
    # No line of TensorFlow's.
    assert done.stderr.startswith(str(pathlib.Path("runs") / "simclr"))
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
