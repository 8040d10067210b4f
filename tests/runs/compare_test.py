"""Two tables of runs that no training was needed for."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from keras_ssl.core import run_dir, weights_file
from keras_ssl.evaluation.results import fingerprint
from keras_ssl.export.saved_model import WEIGHTS
from keras_ssl.runs import compare, run_settings

GIN = """
size = 32
train.batch_size = 64
train.data = 'embedded:32'
train.learning_rate_scale = 'linear'
train.method = @SimCLR()
SimCLR.encoder = @SmallResNet()
SimCLR.temperature = {temperature}
SimCLRViews.size = %size
SmallResNet.widths = (8, 16)
"""


def made(folder, temperature=0.2, gin=GIN, **changes):
    record = {
        "format": 2,
        "written_by": "0.1.0",
        "status": "finished",
        "method": "SimCLR",
        "encoder": {"name": "SmallResNet", "config": {"widths": [8, 16]}},
        "data": {"source": "embedded:32", "split": "train", "images": 10000},
        "batch_size": 64,
        "total_steps": 1200,
        "steps_per_epoch": 100,
        "precision": "float32",
        "seed": 0,
        "commit": "0123456789abcdef-dirty",
        "versions": {"keras": "3.15.1"},
    }
    folder.mkdir(parents=True)
    run_dir.write_json(folder / run_dir.RUN, {**record, **changes})
    text = gin.format(temperature=temperature)
    run_dir.write_text(folder / run_dir.OPERATIVE, text)
    return folder


def scored(folder, value, subject="encoder", k=20, step=1200):
    protocol = {"k": k, "test": {"data": "embedded:32", "images": 2000}}
    row = {
        "step": step,
        "evaluation": "knn",
        "subject": subject,
        "score": "top1",
        "top1": value,
        "protocol": protocol,
        "fingerprint": fingerprint("knn", protocol),
    }
    run_dir.append_line(folder / run_dir.EVALUATIONS, row)
    return row["fingerprint"]


@pytest.fixture
def runs(tmp_path):
    first, second = made(tmp_path / "a"), made(tmp_path / "b", 0.5, seed=1)
    scored(first, 0.1, "random_init", step=0)
    scored(first, 0.3, step=600)
    scored(first, 0.5)
    scored(second, 0.6)
    return first, second


def test_what_differs_and_how_they_score(runs):
    found = compare.compare(runs)
    assert found.settings == [
        {"setting": "seed", "a": "0", "b": "1"},
        {"setting": "SimCLR.temperature", "a": "0.2", "b": "0.5"},
    ]
    assert found.scores == [
        {"features": "a, random_init", "knn top1": "0.100"},
        {"features": "a", "knn top1": "0.500"},
        {"features": "b", "knn top1": "0.600"},
    ]
    assert [(p["data"], p["train / val / test"]) for p in found.protocols] == [
        ("embedded:32", " /  / 2,000")
    ]
    assert not found.notes


def test_everything_is_shown_where_asked_or_alone(runs):
    for found in (compare.compare(runs, every=True), compare.compare(runs[:1])):
        shown = {row["setting"]: row["a"] for row in found.settings}
        assert shown["commit"] == "0123456789ab-dirty"
        assert shown["steps"] == "1,200"
        assert (shown["batch size"], shown["epochs"]) == ("64", "12")
        # A macro's value, and nothing twice.
        assert shown["SimCLRViews.size"] == "32"
        assert shown["encoder widths"] == "(8, 16)"
        assert not {"size", "train.batch_size", "SmallResNet.widths"} & set(shown)


def test_protocols_are_not_mixed(runs):
    marks = [scored(run, 0.9, k=k) for run, k in zip(runs, (1, 2), strict=True)]
    by_label = {row["features"]: row for row in compare.compare(runs).scores}
    assert by_label["a"][f"knn top1 {marks[0]}"] == "0.900"
    assert f"knn top1 {marks[1]}" not in by_label["a"]
    assert f"knn top1 {marks[0]}" not in by_label["b"]


def test_what_did_not_finish_is_marked_and_what_has_no_score_is_named(runs, tmp_path):
    killed = made(tmp_path / "c", status="running")
    run_dir.append_line(killed / run_dir.METRICS, {"step": 300})
    scored(killed, 0.4, step=300)
    stopped = made(tmp_path / "d", status="stopped", stopped="SIGTERM")
    found = compare.compare([*runs, killed, stopped])
    state, steps = found.settings[:2]
    assert state == {
        "setting": "state",
        **{"a": "finished", "b": "finished"},
        **{"c": "running or killed", "d": "stopped (SIGTERM)"},
    }
    assert (steps["c"], steps["d"]) == ("300 of 1,200", "0 of 1,200")
    assert found.scores[-1] == {
        "features": "c (step 300, not finished)",
        "knn top1": "0.400",
    }
    assert found.notes[-1] == "Without any evaluation: d."
    assert "c is not finished: running or killed" in found.notes[0]
    assert found.content["unfinished"] == ["c", "d"]


def test_names_tell_runs_apart(runs, tmp_path):
    other = made(tmp_path / "more" / "a")
    found = compare.compare([*runs, other])
    assert list(found.content["runs"]) == [
        f"{tmp_path.name}/a",
        f"{tmp_path.name}/b",
        "more/a",
    ]


def test_a_binding_that_one_lacks_differs(tmp_path):
    first = made(tmp_path / "a")
    second = made(tmp_path / "b", gin=f"{GIN}\nSimCLR.chunk = (@X(), %none, 1)\n")
    found = [run_settings.settings(run) for run in (first, second)]
    assert run_settings.differing(found) == ["SimCLR.chunk"]
    assert found[1]["SimCLR.chunk"] == "(@X, %none, 1)"


def test_of_an_export_what_it_knows_counts(tmp_path):
    run, export = made(tmp_path / "a"), tmp_path / "b"
    meta = {"name": "SmallResNet", "method": "BYOL", "precision": "float32", "step": 9}
    weights_file.save(export / WEIGHTS, {"x": np.zeros(1)}, {**meta, "config": {}})
    found = compare.compare([run, export])
    assert [tuple(row.values()) for row in found.settings[:3]] == [
        ("state", "finished", "export"),
        ("steps", "1,200", "9"),
        ("method", "SimCLR", "BYOL"),
    ]
    assert not {"seed", "SimCLR.temperature"} & {r["setting"] for r in found.settings}
    assert found.notes == ["Without any evaluation: a, b."]


def test_formats(runs):
    found = compare.compare(runs)
    text = compare.written(found, width=34)
    assert max(map(len, text.splitlines())) <= 34
    assert max(map(len, compare.written(found).splitlines())) > 34
    assert all(x in text for x in ("SimCLR.temperature  0.2", "random_init", "0.600"))
    lines = compare.written(found, "markdown").splitlines()
    assert lines[:3] == [
        "| setting | a | b |",
        "| --- | --- | --- |",
        "| seed | 0 | 1 |",
    ]
    rows = list(csv.reader(compare.written(found, "csv").splitlines()))
    assert rows[2:5] == [
        ["SimCLR.temperature", "0.2", "0.5"],
        [],
        ["features", "knn top1"],
    ]
    content = json.loads(compare.written(found, "json"))
    assert content["settings"]["seed"] == {"a": "0", "b": "1"}
    assert [row["score"] for row in content["scores"]] == [0.1, 0.5, 0.6]
    with pytest.raises(ValueError, match="format must be one of text"):
        compare.written(found, "xml")


def test_mistakes_are_explained(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "log").write_text("")
    for paths, words in (
        ([], "At least one run directory is needed, and none was given"),
        ([tmp_path / "log"], "At least one run directory is needed"),
        ([tmp_path / "x"], "There is no run"),
        ([*runs, tmp_path / "empty"], "empty is neither a run"),
    ):
        with pytest.raises(ValueError, match=words):
            compare.compare(paths)
    found = compare.compare([tmp_path / "[ab]", tmp_path / "log"])
    assert list(found.content["runs"]) == ["a", "b"]


def test_the_command(runs, pytestconfig):
    command = [sys.executable, pytestconfig.rootpath / "tools" / "compare.py"]
    done = subprocess.run(
        [*command, *runs, "--format=csv"], capture_output=True, text=True, check=True
    )
    assert "SimCLR.temperature,0.2,0.5\n" in done.stdout
