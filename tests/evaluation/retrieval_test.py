import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_ssl.evaluation import retrieval
from keras_ssl.evaluation.retrieval import Retrieval
from tests.evaluation.made import Data


def test_it_is_the_mean_over_the_test_images(monkeypatch):
    data = Data()
    f = data.made
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (f.test, f.train)]
    scores = unit[0] @ unit[1].T
    relevant = f.test_labels[:, None] == f.train_labels
    want = [
        average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)
    ]
    order = np.argsort(-scores, axis=1)
    hits = np.take_along_axis(relevant, order, 1)
    got = Retrieval(ks=(1, 3)).run("encode", data)
    assert got["map"] == pytest.approx(np.mean(want), abs=1e-6)
    assert got["recall@1"] == pytest.approx(hits[:, 0].mean())
    assert got["recall@3"] == pytest.approx(hits[:, :3].any(1).mean())
    assert 0.25 < got["map"] < got["recall@3"] < 1
    monkeypatch.setattr(retrieval, "_CHUNK", 7 * len(f.train))
    again = Retrieval(ks=(1, 3)).run("encode", data)
    assert again == pytest.approx(got)


def test_images_whose_class_train_lacks_do_not_ask():
    data = Data()
    want = Retrieval().run("encode", data)
    strange = data.made.test[:5] + 3
    labels = np.concatenate([data.made.test_labels, np.full(5, 4)])
    data.made = data.made._replace(
        test=np.concatenate([data.made.test, strange]), test_labels=labels
    )
    assert Retrieval().run("encode", data) == pytest.approx(want)


def test_fewer_queries():
    got = Retrieval(queries=10).run("encode", Data())
    assert got["recall@1"] * 10 == pytest.approx(round(got["recall@1"] * 10))
    with pytest.raises(ValueError, match="must be positive"):
        Retrieval(ks=(0,))
    with pytest.raises(ValueError, match="must be positive"):
        Retrieval(queries=0)
