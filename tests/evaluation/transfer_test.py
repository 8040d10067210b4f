import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from keras_ssl.evaluation import suites, transfer
from keras_ssl.evaluation.measures import signs
from keras_ssl.evaluation.sigmoid import fit_sigmoids
from keras_ssl.evaluation.transfer import Transfer
from tests.evaluation.made import Data

GRID = (1e-3, 1e-1, 1.0, 10.0, 1e3)


def test_sigmoids_are_scikit_learns():
    f = Data(n=120, spread=0.5).made
    y = signs(f.train_labels, 4)
    y[:30, 0] = 0
    got = fit_sigmoids(f.train, y, 0.05, 1000)
    for c in range(4):
        rows = y[:, c] != 0
        # Ours is a mean over all images, whichever count.
        model = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-8, max_iter=1000)
        model.fit(f.train[rows], y[rows, c])
        np.testing.assert_allclose(got[:-1, c], model.coef_[0], atol=2e-3)
        np.testing.assert_allclose(got[-1, c], model.intercept_[0], atol=2e-3)


def test_the_penalty_is_scikit_learns():
    data = Data(spread=0.5)
    f = data.made
    found = Transfer(l2=(3.0,), max_iterations=1000).run("encode", data)
    mean, std = f.train.mean(0), f.train.std(0)
    model = LogisticRegression(C=1 / 3.0, tol=1e-8, max_iter=1000)
    model.fit((f.train - mean) / std, f.train_labels)
    want = model.score((f.test - mean) / std, f.test_labels)
    assert found["top1"] == pytest.approx(want, abs=1e-6)
    assert found["l2"] == 3.0


def test_weights_are_for_features_as_they_are():
    f = Data(spread=0.5).made
    evaluation = Transfer(max_iterations=1000)
    x = 3 * f.train + 5
    got = evaluation._fit(x, f.train_labels, 4, 1.0, None)
    again = evaluation._fit(x, f.train_labels, 4, 1.0, got)
    want = evaluation._fit(f.train, f.train_labels, 4, 1.0, None)
    scores = [transfer._scores(w, x) for w in (got, again)]
    for each in scores:
        np.testing.assert_allclose(each, transfer._scores(want, f.train), atol=0.02)


@pytest.mark.parametrize("score", ["top1", "mean_per_class", "map"])
def test_the_penalty_is_chosen_without_test(score):
    f = Data(n=80, d=60, spread=0.25).made
    order = np.random.default_rng(1).permutation(len(f.test))
    evaluation = Transfer(score, GRID, held_out=0.3)
    found = [
        evaluation.run("encode", Data(o, n=80, d=60, spread=0.25))
        for o in (None, order)
    ]
    assert found[0]["l2"] == found[1]["l2"]
    assert found[0]["val"] == found[1]["val"]
    assert found[0][score] != found[1][score]


def test_validation_images_of_the_data_are_what_it_is_chosen_on():
    data, other = Data(n=80, d=60, spread=0.25), Data(n=40, d=60, spread=0.25, seed=0)
    f = data.made
    rng = np.random.default_rng(0)
    data.made = f._replace(val=other.made.train, val_labels=other.made.train_labels)
    evaluation = Transfer(l2=GRID, coarse=1)
    chosen = evaluation.run("encode", data)
    # With labels of no meaning nothing is better than the strongest penalty by much.
    data.made = data.made._replace(val_labels=rng.permutation(data.made.val_labels))
    assert evaluation.run("encode", data)["val"] < chosen["val"] - 0.2
    # What is fitted at last has the validation images too.
    x, y, held = evaluation._parts(data.made)
    assert (len(x), len(y), held.sum()) == (120, 120, 40)
    np.testing.assert_array_equal(x[held], data.made.val)


def test_the_best_of_the_grid_is_found_by_halves(monkeypatch):
    grid = [2.0**i for i in range(-12, 13)]
    tried = []

    def fit(self, x, y, classes, l2, start):
        tried.append(l2)
        return np.full((1, 1), np.log2(l2))

    monkeypatch.setattr(Transfer, "_fit", fit)
    monkeypatch.setattr(transfer, "_scores", lambda weights, x: weights)
    # Best at 2 ** 5.
    monkeypatch.setitem(
        transfer.MEASURES, "top1", lambda weights, y: -abs(float(weights[0, 0]) - 5)
    )
    x, held = np.zeros((4, 1)), np.arange(4) < 2
    l2, score, _ = Transfer(l2=grid)._choose(x, held, held, 2)
    assert (l2, score) == (2.0**5, 0.0)
    assert len(tried) == 11
    # Among equals the strongest.
    monkeypatch.setitem(transfer.MEASURES, "top1", lambda weights, y: 0.5)
    assert Transfer(l2=grid)._choose(x, held, held, 2)[0] == 2.0**12


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"score": "top5"}, "one of top1, mean_per_class, map, got 'top5'"),
        ({"l2": (1.0, 0.0)}, "positive"),
        ({"held_out": 0}, "held_out must be positive"),
        ({"coarse": 0}, "at least 1"),
    ],
)
def test_mistakes_are_explained(settings, words):
    with pytest.raises(ValueError, match=words):
        Transfer(**settings)


def test_all_of_train_cannot_be_held_out():
    with pytest.raises(ValueError, match="150 validation images are all of the 150"):
        Transfer(held_out=150).run("encode", Data())


def test_the_twelve():
    tasks = suites.get("transfer")
    assert len(tasks) == 12
    by_score = {s: [t.name for t in tasks if t.score == s] for s in transfer.MEASURES}
    assert len(by_score["mean_per_class"]) == 4
    assert by_score["map"] == ["VOC 2007"]
    assert len(transfer.GRID) == 45
    assert (min(transfer.GRID), max(transfer.GRID)) == (1e-6, 1e5)
    for task in tasks:
        if isinstance(task.val, int):
            assert task.val == task.images[1]
        assert bool(task.data) == (task.download is not None)


def test_suites_have_names_of_their_own():
    mine = (suites.Task("mine", "embedded:32"),)
    suites.add("of_this_test", mine)
    suites.add("of_this_test", mine)
    assert suites.get("of_this_test") == mine
    with pytest.raises(ValueError, match="already"):
        suites.add("transfer", mine)
    with pytest.raises(ValueError, match="different names"):
        suites.add("of_this_test_too", mine * 2)
    with pytest.raises(ValueError, match=r"No suite 'transfr'.*'transfer'"):
        suites.get("transfr")
