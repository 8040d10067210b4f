"""Which scores are due after a kill: what no earlier sitting of the run has."""

import types

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks import online_evaluation
from keras_ssl.callbacks.online_evaluation import OnlineEvaluation
from keras_ssl.core import run_dir
from keras_ssl.evaluation import results


class Evaluation:
    score = "top1"

    def __init__(self, name, top1=0.5):
        self.name, self.top1, self.runs = name, top1, 0

    def run(self, encode, data):
        self.runs += 1
        return {"top1": self.top1}

    def protocol(self):
        return {"neighbours": (1, 2)}


class Data:
    """What evaluations are given, without images."""

    def __init__(self, images):
        self.images = images
        labelled = {"need_labels": lambda what, several: None, "multi_label": False}
        labelled |= {"truth": None}
        self.train = types.SimpleNamespace(kind="image", **labelled)
        self.test = types.SimpleNamespace(
            name="set", split="test", classes=(), **labelled
        )

    def features(self, encode, several=False):
        return types.SimpleNamespace(test=np.eye(4, dtype=np.float32))

    def protocol(self):
        return {"test": {"data": "set", "split": "test", "images": self.images}}

    def forget(self):
        """Nothing is kept."""


@pytest.fixture
def sitting(tmp_path, monkeypatch):
    """A new sitting of a run at a step; it knows what the files know."""
    monkeypatch.setattr(results.registry, "name_of", lambda evaluation: evaluation.name)

    def begin(step, evaluations):
        made = OnlineEvaluation(evaluations, every_epochs=1)
        optimizer = types.SimpleNamespace(iterations=tf.constant(step))
        encoder = lambda images, training: images  # noqa: E731
        made.set_model(types.SimpleNamespace(optimizer=optimizer, product=encoder))
        made.set_params({"epochs": 2})
        made.directory, made.writer = tmp_path, tf.summary.create_noop_writer()
        made.whole, made.part = Data(64), Data(8)
        made.results = run_dir.read_lines(tmp_path / run_dir.EVALUATIONS)
        made.begin()
        return made

    return begin


def keys(folder):
    rows = run_dir.read_lines(folder / run_dir.EVALUATIONS)
    return [(row["step"], row["subject"], row["evaluation"]) for row in rows]


WHOLE = [
    (step, subject, name)
    for step, subject in (
        (0, "raw_pixels"),
        (0, "random_init"),
        (4, "encoder"),
        (8, "encoder"),
    )
    for name in ("knn", "linear")
]


@pytest.mark.parametrize("kept", range(9))
def test_half_a_subject_is_completed(sitting, tmp_path, monkeypatch, kept):
    def run(start):
        pair = [Evaluation("knn"), Evaluation("linear")]
        made = sitting(start, pair)
        for step in (4, 8):
            if step >= start:
                made.model.optimizer.iterations = tf.constant(step)
                made.on_epoch_end(step // 4 - 1)
        made.finish()
        return sum(evaluation.runs for evaluation in pair)

    monkeypatch.setattr(online_evaluation, "draw_curves", lambda folder: None)
    assert run(0) == 8
    assert keys(tmp_path) == WHOLE
    path = tmp_path / run_dir.EVALUATIONS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:kept]))
    # The checkpoint is that before the last result.
    assert run(0 if kept < 4 else 4 if kept < 6 else 8) == 8 - kept
    assert path.read_text() == "".join(lines)


def test_what_was_scored_by_hand_is_no_result_of_the_run(sitting, tmp_path):
    made = sitting(4, [Evaluation("knn")])
    other = {"step": 4, "evaluation": "knn", "subject": "encoder", "top1": 0.9}
    other["protocol"] = {"test": {"data": "else", "split": "test", "images": 8}}
    made.results.append(other)
    made.on_epoch_end(0)
    assert keys(tmp_path)[-1] == (4, "encoder", "knn")
    assert made.best() == {"knn": {"top1": 0.5, "step": 4, "images": 8}}


def test_the_best_is_that_of_all_sittings(sitting):
    made = sitting(4, [Evaluation("knn", 0.7)])
    made.on_epoch_end(0)
    made = sitting(8, [Evaluation("knn", 0.6)])
    made.score("encoder", None, made.whole)
    assert made.best() == {"knn": {"top1": 0.7, "step": 4, "images": 8}}
