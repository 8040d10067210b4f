import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.evaluation.data import Features
from keras_ssl.evaluation.knn import KNN, knn_predict


def features(n=60, m=25, d=5, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    train = rng.normal(size=(n, d)) + labels[:, None]
    return (
        train.astype(np.float32),
        labels,
        rng.normal(1.0, 2.0, (m, d)).astype(np.float32),
        classes,
    )


def reference(train, labels, test, classes, k, temperature):
    """One vote at a time, in float64."""
    train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    found = []
    for row in test.astype(np.float64):
        similar = train.astype(np.float64) @ row
        votes = np.zeros(classes)
        for i in np.argsort(-similar)[:k]:
            votes[labels[i]] += np.exp(similar[i] / temperature)
        found.append(votes.argmax())
    return np.array(found)


@pytest.mark.parametrize("k", [1, 2, 20, 60])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_it_is_a_weighted_vote(k, temperature):
    data = features()
    got = knn_predict(*data, k=k, temperature=temperature)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, reference(*data, k, temperature))


def test_votes_are_weighted():
    # One near neighbour of class 0 against two far ones of class 1.
    train = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    arguments = (train, [0, 1, 1], np.array([[1, 0.5]], np.float32), 2, 3)
    assert knn_predict(*arguments, temperature=0.1)[0] == 0
    assert knn_predict(*arguments, temperature=100.0)[0] == 1


def test_lengths_do_not_matter():
    train, labels, test, classes = features()
    base = knn_predict(train, labels, test, classes)
    scale = np.random.default_rng(1).uniform(0.1, 10, (len(train), 1))
    got = knn_predict(train * scale, labels, test * 7, classes)
    np.testing.assert_array_equal(got, base)


def test_low_temperatures_do_not_overflow():
    data = features()
    got = knn_predict(*data, k=20, temperature=1e-4)
    np.testing.assert_array_equal(got, knn_predict(*data, k=1))


def test_ties_go_to_the_first_class():
    train = np.eye(3, dtype=np.float32)
    got = knn_predict(train, [2, 1, 0], np.ones((1, 3), np.float32), 3, 3)
    assert got[0] == 0


@pytest.mark.parametrize("kind", [tf.constant, list])
def test_tensors_and_lists_are_taken(kind):
    train, labels, test, classes = features()
    got = knn_predict(kind(train), kind(labels), kind(test), classes)
    np.testing.assert_array_equal(got, knn_predict(train, labels, test, classes))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"k": 61}, r"k must be in \[1, 60\], the train examples; got 61"),
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"temperature": float("nan")}, "temperature must be positive, got nan"),
    ],
)
def test_arguments_out_of_range(bad, words):
    with pytest.raises(ValueError, match=words):
        knn_predict(*features(), **bad)
    if bad.get("k") != 61:
        with pytest.raises(ValueError, match=words):
            KNN(**bad)


class Data:
    """Features that need no encoder."""

    def __init__(self, n=60):
        train, labels, test, classes = features(n)
        truth = np.random.default_rng(5).integers(0, classes, len(test))
        self.made = Features(train, labels, test, truth, classes)

    def features(self, encode):
        assert encode == "encode"
        return self.made


def test_evaluation_counts_what_is_right():
    data = Data()
    train, labels, test, truth, classes = data.made[:5]
    want = np.mean(knn_predict(train, labels, test, classes, 7, 0.5) == truth)
    evaluation = KNN(7, 0.5)
    assert evaluation.run("encode", data) == {"top1": want}
    assert 0 < want < 1
    assert evaluation.protocol() == {"k": 7, "temperature": 0.5, "distance": "cosine"}


def test_evaluation_of_a_small_set_takes_what_there_is():
    # `tiny.gin` and first tries have fewer images than neighbours.
    data = Data(5)
    train, labels, test, truth, classes = data.made[:5]
    want = np.mean(knn_predict(train, labels, test, classes, 5) == truth)
    assert KNN(20).run("encode", data) == {"top1": want}
