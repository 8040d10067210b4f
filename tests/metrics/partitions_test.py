import itertools

import numpy as np
import pytest
from sklearn import metrics as reference

from keras_ssl import metrics


@pytest.mark.parametrize("seed", range(5))
def test_partitions_agree_as_scikit_learn_says(seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 7, 200)
    second = np.where(rng.random(200) < 0.5, first, rng.integers(0, 9, 200))
    want = reference.adjusted_rand_score(first, second)
    assert metrics.adjusted_rand(first, second) == pytest.approx(want, abs=1e-12)
    want = reference.normalized_mutual_info_score(first, second)
    got = metrics.normalized_mutual_information(first, second, 9)
    assert float(got) == pytest.approx(want, abs=1e-6)


def test_partitions_that_say_nothing_or_the_same():
    one, each = np.zeros(6, int), np.arange(6)
    assert metrics.adjusted_rand(one, one) == 1.0
    assert metrics.adjusted_rand(each, each) == 1.0
    assert metrics.adjusted_rand(one, each) == 0.0
    assert metrics.adjusted_rand(each, each[::-1]) == 1.0


def test_matched_accuracy_tries_every_matching():
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    best = max(
        np.mean(np.array(p)[clusters] == labels)
        for p in itertools.permutations(range(4))
    )
    assert metrics.matched_accuracy(clusters, labels) == pytest.approx(best)
    # More clusters than labels: those left over are wrong.
    assert metrics.matched_accuracy(np.arange(4), np.array([0, 0, 1, 1])) == 0.5
