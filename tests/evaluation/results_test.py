import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import Source
from keras_ssl.evaluation import per_image, results
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.few_shot import FewShot
from keras_ssl.evaluation.knn import KNN
from keras_ssl.evaluation.svm import SVM


def source(split, labels, multi_label=False):
    return Source(
        "fake:a",
        split,
        len(labels),
        (4, 4, 3),
        lambda index: tf.zeros([tf.size(index), 4, 4, 3], tf.uint8),
        np.asarray(labels, np.int64),
        ("cat", "dog"),
        multi_label=multi_label,
    )


@pytest.fixture
def data():
    return EvaluationData(source("train", [0, 1, 0]), source("test", [1, 0]), 4)


PROTOCOL = {"k": 20, "train": {"data": "a", "images": 10}, "seed": 3}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seed": 4}, True),
        ({"k": 21}, False),
        ({"train": {"data": "a", "images": 11}}, False),
        ({"train": {"images": 10, "data": "a"}}, True),
        ({"precision": "mixed_bfloat16"}, False),
    ],
)
def test_a_fingerprint_is_of_all_but_the_seed(changes, same):
    one = results.fingerprint("knn", PROTOCOL)
    other = results.fingerprint("knn", {**PROTOCOL, **changes})
    assert (one == other) == same
    assert len(one) == 12
    assert results.fingerprint("linear", PROTOCOL) != one


def test_what_is_described_is_what_a_result_has(data):
    row = results.result(KNN(k=1), "raw_pixels", lambda x: x[:, 0, 0], data, 7)
    name, protocol, mark = results.described(KNN(k=1), data)
    assert (row["evaluation"], row["protocol"], row["fingerprint"]) == (
        (name, protocol, mark)
    )
    assert (row["step"], row["score"], row["health"]) == (7, "top1", {})
    assert protocol["test"]["images"] == 2
    assert results.described(KNN(k=2), data)[2] != mark
    other = dataclasses.replace(data, test_limit=2, train_limit=2)
    assert results.described(KNN(k=1), other)[2] != mark


def test_seeds_are_for_those_that_draw():
    assert results.has_seed(FewShot())
    assert results.seeded(FewShot(), 5).seed == 5
    assert not results.has_seed(KNN())
    assert results.seeded(KNN(), 5) is not None
    assert results.seeded(KNN(), 5) == KNN()
    assert not results.has_seed(KNN)


def test_the_headline_is_what_the_evaluation_says():
    assert results.headline({"score": "map", "map": 0.25, "top1": 0.5}) == 0.25
    assert results.headline({"top1": 0.5}) == 0.5
    assert per_image.rounded({"a": 0.123456789}) == {"a": 0.123457}


def test_several_labels_are_refused_before_anything_is_encoded():
    signs = [[1, -1], [-1, 1]]
    many = EvaluationData(source("train", signs, True), source("test", signs, True), 4)

    def encode(images):
        raise AssertionError("encoded")

    with pytest.raises(ValueError, match="knn needs one label an image"):
        results.result(KNN(k=1), "encoder", encode, many, 0)
    results.check(SVM(), many)


class Lazily:
    """Labels that are read when asked for; counts them."""

    def __init__(self, labels):
        self.labels, self.read = np.asarray(labels), 0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.read += len(index)
        return self.labels[index]


def test_a_test_split_of_one_class_is_refused():
    train, test = source("train", [0, 1]), source("test", [1] * 40)
    with pytest.raises(ValueError, match=r"All 40 test images .* one class, 'dog'"):
        EvaluationData(train, test, 4)
    lazily = dataclasses.replace(test, labels=Lazily([1] * 39 + [0]))
    EvaluationData(train, lazily, 4)
    # Of labels in many files few are read where they differ.
    labels = Lazily([0, 1] * 500 + [1])
    many = dataclasses.replace(test, labels=labels, count=1001)
    EvaluationData(train, many, 4)
    assert labels.read < 30


def test_validation_images_must_not_be_those_of_test():
    train, test = source("train", [0, 1]), source("test[:50%]", [1, 0])
    val = source("test[10%:]", [1, 0])
    with pytest.raises(ValueError, match="share images"):
        EvaluationData(train, test, 4, val=val)
    EvaluationData(train, test, 4, val=source("val", [1, 0]))
