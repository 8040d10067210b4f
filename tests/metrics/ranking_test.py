import numpy as np
import pytest
from sklearn import metrics as reference

from keras_ssl import metrics


def rankings(seed=0, m=20, n=50, levels=None):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(m, n))
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), rng.random((m, n)) < rng.random((m, 1)) + 0.02


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_average_precision_is_scikit_learns(levels):
    scores, relevant = rankings(levels=levels)
    relevant[:, 0] = True
    want = [
        reference.average_precision_score(r, s)
        for r, s in zip(relevant, scores, strict=True)
    ]
    np.testing.assert_allclose(metrics.average_precision(scores, relevant), want)


def test_nothing_relevant_is_no_number():
    scores, relevant = rankings(m=2)
    relevant[0], relevant[1] = False, True
    for measure in (metrics.average_precision, metrics.eleven_point):
        assert np.isnan(measure(scores, relevant)[0])
        assert measure(scores, relevant)[1] == pytest.approx(1.0)


def test_eleven_points_by_hand():
    # Right, wrong, right: precisions 1, 1/2, 2/3 at recalls 1/2, 1/2, 1.
    scores = np.array([[3.0, 2.0, 1.0]])
    relevant = np.array([[True, False, True]])
    got = metrics.eleven_point(scores, relevant)
    assert got[0] == pytest.approx((6 * 1.0 + 5 * 2 / 3) / 11)
    # Ten relevant ones: the recall of 0.3 is reached by the third.
    scores = -np.arange(20.0)[None]
    relevant = np.arange(20)[None] % 2 == 1
    got = metrics.eleven_point(scores, relevant)
    assert got[0] == pytest.approx(0.5)
