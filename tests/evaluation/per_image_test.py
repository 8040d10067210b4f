"""Scores without some test images: those of a second run, of one that learned once."""

import keras
import numpy as np
import pytest

from keras_ssl.core import registry
from keras_ssl.data import pipeline
from keras_ssl.data.sources import open_source
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.evaluation import clustering, dense_fit, lbfgs, per_image
from keras_ssl.evaluation.boxes import boxed
from keras_ssl.evaluation.data import EvaluationData, Features, Frozen
from keras_ssl.evaluation.detection import Detection
from keras_ssl.evaluation.knn import KNN

SETTINGS = {
    "knn": {"k": 5},
    "linear": {"l2": (0.1,), "max_iterations": 4},
    "linear_sgd": {"rates": (0.1, 1.0), "epochs": 1, "batch_size": 30},
    "layers": {"probe": KNN(k=3), "numbers": 50},
    "svm": {"costs": (0.1, 1.0), "folds": 2},
    "few_shot": {"shots": 2},
    "clustering": {"starts": 1},
    "retrieval": {"queries": 25},
    "fine_tune": {"epochs": 1, "batch_size": 60},
    "classifier": {},
    "transfer": {"l2": (1.0,), "max_iterations": 4},
    "segmentation": {"steps": 2, "batch_size": 4},
    "segmentation_fcn": {"steps": 2, "batch_size": 4, "width": 4},
    "depth": {"steps": 2, "batch_size": 4},
    "detection": {"steps": 2, "batch_size": 4, "width": 8, "depth": 1, "cells": 8},
}
# Building a RetinaNet takes its time.
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name == "detection"))
    for name in SETTINGS
]


def refuse(monkeypatch):
    """From now on there is nothing to learn from, nor anything that learns."""

    def no(*args, **kwargs):
        raise AssertionError("something was tried again")

    for place, name in (
        *((EvaluationData, n) for n in ("features", "split", "encoded", "without")),
        *((pipeline, n) for n in ("numbered_batches", "training_batches")),
        *((dense_fit, n) for n in ("dense_batches", "training_batches")),
        (lbfgs, "minimize"),
        (clustering, "k_means"),
        (np.linalg, "svd"),
    ):
        monkeypatch.setattr(place, name, no)


@pytest.fixture(scope="module")
def encoder():
    # Ten features, which are as many logits.
    keras.utils.set_random_seed(0)
    return Frozen(SmallResNet((1, 1), (4, 10), stem_width=4))


def given(evaluation):
    truth = getattr(evaluation, "truth", None)
    name = f"embedded:32?truth={truth}" if truth else "embedded:32"
    train, test = (open_source(name, split) for split in ("train", "test"))
    return EvaluationData(train, test, 32, 60, 40)


def test_all_evaluations_are_tried_here():
    registry.load()
    kinds = {
        name: registry.get("evaluation", name) for name in registry.names("evaluation")
    }
    # Other tests may have added their own.
    ours = {n for n, kind in kinds.items() if kind.__module__.startswith("keras_ssl.")}
    assert set(SETTINGS) == ours


@pytest.mark.parametrize("name", NAMES)
def test_scores_without_some_are_those_of_a_second_run(name, encoder, monkeypatch):
    evaluation = registry.get("evaluation", name)(**SETTINGS[name])
    data = given(evaluation)
    left_out = pipeline.subset(data.test.count, data.test_limit)[[0, 3, *range(20, 31)]]
    fewer = given(evaluation).without(left_out)
    if name == "detection":
        # Its training differs in the last digits, and so do sure and unsure boxes.
        train = boxed(data.train, data.train_limit)
        detector = evaluation.fit(encoder.encoder, data.size, train)
        monkeypatch.setattr(Detection, "fit", lambda self, *given: detector)
    want = evaluation.run(encoder, fewer)
    outcome = per_image.tried(evaluation, encoder, data)
    assert outcome.numbers != want
    refuse(monkeypatch)
    got = outcome.without(left_out)
    assert evaluation.score in got
    # Boxes that were left out are those of all images.
    got.pop("left_out", None), want.pop("left_out", None)
    assert got == pytest.approx(want, abs=1e-6, nan_ok=True)


def test_what_only_runs_is_run_again(encoder):
    class Own:
        score = "images"

        def run(self, encode, data):
            return {"images": len(data.features(encode).test)}

    data = given(Own())
    outcome = per_image.tried(Own(), encoder, data)
    rows = pipeline.subset(data.test.count, data.test_limit)[:5]
    assert (outcome.numbers["images"], outcome.without(rows)["images"]) == (40, 35)


def test_features_without_numbers_all_count():
    x, y = np.eye(4, dtype=np.float32), np.arange(4)
    found = per_image.top1(y, Features(x, y, x, y, 4))
    assert found.numbers == {"top1": 1.0}
    with pytest.raises(ValueError, match="have no numbers"):
        found.without(np.array([0]))
