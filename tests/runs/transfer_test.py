"""The transfer suite on tiny parts of the embedded set, with an untrained encoder."""

import json

import pytest
import tensorflow as tf

from keras_ssl.core import registry, run_dir
from keras_ssl.evaluation import results, suites
from keras_ssl.evaluation.suites import Task
from keras_ssl.evaluation.transfer import Transfer
from keras_ssl.runs import settings, transfer
from tests import harness
from tests.made_run import made_run

QUICK = Transfer(l2=(1e-2, 1e2), max_iterations=20)
SPLITS = {"train": "train[:96]", "test": "test[:48]"}
SUITE = (
    Task("drawn", "embedded:32", val=32, **SPLITS),
    Task("own val", "embedded:32", val="test[48:80]", score="mean_per_class", **SPLITS),
    Task("Birds", "", images=(10, 5, 5)),
    Task("Far", "tfds:food101", val=7575, test="validation", download=5.0),
    Task("Copies", "", train="train", val="val"),
)


@pytest.fixture(scope="module", autouse=True)
def parts():
    registry.load()
    suites.add("tiny", SUITE)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Images of two classes; test has one that pretraining has."""
    folder = tmp_path_factory.mktemp("copies")
    source = registry.get("dataset", "embedded")("32", "train[:4]", None)
    seen = source.read(tf.range(4))
    fresh = harness.images(20, 32)
    for split, images in {
        "train": fresh[:10],
        "val": fresh[10:16],
        "test": tf.concat([seen[:1], fresh[16:]], 0),
    }.items():
        for i, image in enumerate(images):
            name = f"{folder}/{split}/{('cat', 'dog')[i % 2]}/{i}.png"
            tf.io.write_file(name, tf.io.encode_png(image))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def outcome(run, copies, tmp_path_factory):
    return transfer.transfer(
        run,
        "tiny",
        data_dir=str(tmp_path_factory.mktemp("no_data")),
        given=[f"Copies=folder:{copies}?labels=folders"],
        subjects=("encoder", "raw_pixels"),
        evaluation=QUICK,
    )


def test_what_is_there_is_scored_and_recorded(run, outcome):
    rows = run_dir.read_lines(run / run_dir.EVALUATIONS)
    assert rows == json.loads(json.dumps(outcome.rows))
    assert [(r["task"], r["subject"]) for r in rows] == [
        (task, subject)
        for task in ("drawn", "own val", "Copies")
        for subject in ("encoder", "raw_pixels")
    ]
    drawn, _, own, *_ = rows
    assert (drawn["protocol"]["held_out"], drawn["score"]) == (32, "top1")
    assert own["protocol"]["val"]["images"] == 32
    assert own["score"] == "mean_per_class"
    assert "short side" in own["protocol"]["preprocessing"]
    assert len({r["fingerprint"] for r in rows}) == 3


def test_near_duplicates_are_told_and_drawn(run, outcome):
    found = {r["task"]: r for r in outcome.rows if r["subject"] == "encoder"}
    beside = found["Copies"]["leakage"]
    assert (beside["near_duplicates"], beside["of"]) == (1, 5)
    assert set(beside["without"]) == {"top1"}
    assert (run / "near_duplicates_copies.png").exists()
    assert found["drawn"]["leakage"]["near_duplicates"] == 0
    assert not (run / "near_duplicates_drawn.png").exists()


def test_what_is_missing_is_said(outcome):
    assert set(outcome.missing) == {"Birds", "Far"}
    assert "not in TFDS (20 images)" in outcome.missing["Birds"]
    assert "--given='Birds=folder:DIR?labels=folders'" in outcome.missing["Birds"]
    assert (
        "(5 GB to download): tfds build food101 --data_dir=" in outcome.missing["Far"]
    )


def test_a_line_a_data_set(outcome):
    found = transfer.table(outcome)
    assert [line["data set"] for line in found] == ["drawn", "own val", "Copies"]
    for line in found:
        assert {"encoder", "raw_pixels", "near duplicates"} <= set(line)
    assert found[1]["images"] == "96 / 32 / 48"
    assert found[2]["near duplicates"] == "1 of 5"


def test_it_goes_on_where_it_was_stopped(run, outcome, copies, monkeypatch):
    before = (run / run_dir.EVALUATIONS).read_text()
    kept = before.splitlines(keepends=True)
    (run / run_dir.EVALUATIONS).write_text("".join(kept[:2] + kept[4:]))
    scored = []
    made = results.result

    def result(evaluation, subject, *rest):
        scored.append((evaluation.score, subject))
        return made(evaluation, subject, *rest)

    monkeypatch.setattr(results, "result", result)
    again = transfer.transfer(
        run,
        "tiny",
        data_dir=str(copies),
        given=[f"Copies=folder:{copies}?labels=folders"],
        subjects=("encoder", "raw_pixels"),
        evaluation=QUICK,
        leakage=False,
    )
    assert scored == [("mean_per_class", "encoder"), ("mean_per_class", "raw_pixels")]
    assert [r["top1"] for r in again.rows if "top1" in r] == [
        r["top1"] for r in outcome.rows if "top1" in r
    ]
    (run / run_dir.EVALUATIONS).write_text(before)


def test_settings_come_from_the_command_line():
    (made,) = settings.evaluations(["knn"], [], ["knn.k = 200"])
    assert (made.k, made.temperature) == (200, 0.07)
    assert settings.evaluations(["knn"])[0].k == 20
    for words, bindings in [
        ("Nothing uses the binding 'linear.held_out", ["linear.held_out = 0.2"]),
        ("Did you mean 'k'", ["knn.kk = 3"]),
        ("k must be at least 1", ["knn.k = 0"]),
    ]:
        with pytest.raises(ValueError, match=words):
            settings.evaluations(["knn"], [], bindings)
    with pytest.raises(KeyError, match="Did you mean 'knn'"):
        settings.evaluations(["knm"], [], ["knn.k = 2"])


@pytest.mark.parametrize(
    ("suite", "given", "words"),
    [
        ("tinny", [], "No suite 'tinny'"),
        ("tiny", ["Bird=folder:x"], "NAME=SOURCE.*Did you mean 'Birds'"),
        ("tiny", ["Birds"], "NAME=SOURCE"),
    ],
)
def test_mistakes_are_explained(run, suite, given, words):
    with pytest.raises(ValueError, match=words):
        transfer.transfer(run, suite, given=given)
