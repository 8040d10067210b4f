import numpy as np
import pytest
from sklearn.linear_model import Ridge

from keras_ssl.evaluation.few_shot import FewShot, draw, ridge
from tests.evaluation.made import Data


def problem(n=30, d=50):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    targets = np.eye(3)[rng.integers(0, 3, n)]
    return x - x.mean(0), targets - targets.mean(0)


@pytest.mark.parametrize("d", [5, 50])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_ridge_is_scikit_learns(d, penalty):
    x, targets = problem(d=d)
    weights, chosen = ridge(x, targets, [penalty])
    want = Ridge(alpha=penalty).fit(x, targets)
    np.testing.assert_allclose(weights, want.coef_.T, atol=1e-10)
    assert chosen == penalty


def test_the_penalty_is_the_one_that_leaves_out_best():
    x, targets = problem(d=20)
    penalties = [1e-2, 1.0, 30.0, 1e3]
    errors = []
    for penalty in penalties:
        apart = []
        for i in range(len(x)):
            rest = np.arange(len(x)) != i
            model = Ridge(alpha=penalty).fit(x[rest], targets[rest])
            apart.append(targets[i] - model.predict(x[i : i + 1])[0])
        errors.append(np.mean(np.square(apart)))
    assert len(set(errors)) == 4
    assert ridge(x, targets, penalties)[1] == penalties[int(np.argmin(errors))]


def test_the_few_are_drawn_by_class_and_seed():
    labels = np.array([0, 1, 2] * 20)
    rows = draw(labels, 3, 4, seed=0)
    assert labels[rows].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(rows)) == 12
    assert set(draw(labels, 3, 4, seed=1)) != set(rows)
    with pytest.raises(ValueError, match="class 0 has 20 in train"):
        draw(labels, 3, 21, seed=0)


def test_more_shots_tell_more_and_test_labels_choose_nothing():
    data = Data(n=800, m=400, spread=0.7)
    few, many = (FewShot(n).run("encode", data) for n in (2, 50))
    assert 0.25 < few["top1"] < many["top1"]
    order = np.random.default_rng(0).permutation(400)
    other = FewShot(50).run("encode", Data(order, n=800, m=400, spread=0.7))
    assert other["penalty"] == many["penalty"]
    assert other["top1"] < 0.4
    for bad in ({"shots": 1}, {"penalties": (0.0,)}):
        with pytest.raises(ValueError, match=r"at least 2|positive"):
            FewShot(**bad)
