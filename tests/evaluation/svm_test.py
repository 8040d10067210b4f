import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC

from keras_ssl.evaluation.measures import signs as as_signs
from keras_ssl.evaluation.squared_hinge import SquaredHinge
from keras_ssl.evaluation.svm import SVM, fit_svm
from tests.evaluation.made import Data


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def objective(w, x, sign, cost, positive):
    """Of one class, in float64."""
    x1 = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    slack = np.maximum(0, 1 - sign * (x1 @ w))
    weight = np.where(sign > 0, positive, 1.0) * (sign != 0) * cost
    return 0.5 * w @ w + np.sum(weight * slack**2)


def reference(x, sign, cost, positive):
    model = LinearSVC(
        C=cost, class_weight={1: positive, -1: 1}, dual=False, tol=1e-8, max_iter=10000
    ).fit(x, sign)
    return np.append(model.coef_[0], model.intercept_[0])


def pixels(n, d):
    """Like raw pixels: nearly all in one direction, less and less in the others."""
    made = Data(n=n, d=d, spread=0.6).made.train
    return 20.0 + made * np.exp(-np.arange(d) / 8).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "d", "like"), [(150, 12, None), (60, 90, None), (150, 60, pixels)]
)
def test_the_optimum_is_scikit_learns(n, d, like):
    data = Data(n=n, d=d, spread=0.6)
    x = unit(data.made.train if like is None else like(n, d))
    signs = as_signs(data.made.train_labels, 4)
    costs = np.array([0.01, 1.0, 20.0, 1000.0])
    got = fit_svm(x, signs, costs, 2.0)
    for i, cost in enumerate(costs):
        want = reference(x, signs[:, i], cost, 2.0)
        best = objective(want, x, signs[:, i], cost, 2.0)
        mine = objective(got[:, i].astype(np.float64), x, signs[:, i], cost, 2.0)
        assert mine == pytest.approx(best, rel=1e-4 if cost == 1000 else 1e-6)
        if cost < 1000:
            np.testing.assert_allclose(got[:, i], want, atol=0.02 * np.abs(want).max())


@pytest.mark.parametrize("d", [12, 90])
def test_some_rows_are_fitted_as_if_they_were_all(d):
    data = Data(n=60, d=d)
    x, signs = unit(data.made.train), as_signs(data.made.train_labels, 4)
    problem, rows = SquaredHinge(x), np.arange(60) % 3 > 0
    start = fit_svm(x, signs, np.full(4, 0.1), 2.0, problem=problem, rows=rows)
    costs = np.array([0.1, 5.0, 1.0, 5.0])
    got = fit_svm(x, signs, costs, 2.0, start, problem, rows)
    want = fit_svm(x[rows], signs[rows], costs, 2.0)
    np.testing.assert_allclose(got, want, atol=2e-3 * np.abs(want).max())


def test_what_does_not_count_changes_nothing():
    data = Data()
    x, signs = unit(data.made.train), as_signs(data.made.train_labels, 4)
    want = fit_svm(x[:100], signs[:100], np.ones(4))
    signs[100:] = 0
    got = fit_svm(x, signs, np.ones(4))
    np.testing.assert_allclose(got, want, atol=1e-3)


def test_map_is_the_mean_over_classes_at_costs_chosen_in_train():
    data = Data(n=90, d=30, spread=0.4)
    f = data.made
    x, signs = unit(f.train), as_signs(f.train_labels, 4)
    evaluation = SVM(costs=(100.0, 0.01, 1.0))
    costs = evaluation.choose(x, signs)
    assert len(set(costs)) > 1
    fold = np.random.default_rng(0).permutation(len(x)) % 3
    for c in range(4):
        found = {}
        for cost in (0.01, 1.0, 100.0):
            scores = []
            for held in range(3):
                fit = fold != held
                w = reference(x[fit], signs[fit, c], cost, 2.0)
                rest = x[~fit] @ w[:-1]
                scores.append(average_precision_score(signs[~fit, c] > 0, rest))
            found[cost] = np.sum(scores)
        assert found[costs[c]] == pytest.approx(max(found.values()), abs=0.02)
    want = []
    for c in range(4):
        w = reference(x, signs[:, c], costs[c], 2.0)
        want.append(average_precision_score(f.test_labels == c, unit(f.test) @ w[:-1]))
    got = evaluation.run("encode", data)
    assert got["map"] == pytest.approx(np.mean(want), abs=2e-3)
    order = np.random.default_rng(0).permutation(60)
    assert (
        evaluation.run("encode", Data(order, n=90, d=30, spread=0.4))["map"]
        < got["map"]
    )


def test_arguments_out_of_range():
    for bad in ({"costs": ()}, {"positive_weight": 0}, {"folds": 1}, {"points": "10"}):
        with pytest.raises(ValueError, match=r"must be|folds"):
            SVM(**bad)
