import numpy as np
import pytest
from sklearn import cluster, metrics

from keras_ssl.evaluation.clustering import Clustering, assign, k_means
from tests.evaluation.made import Data, features


def inertia(x, centroids):
    return ((x[:, None] - centroids) ** 2).sum(-1).min(1).sum()


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_clusters_are_as_tight_as_scikit_learns(spread):
    x = features(n=400, spread=spread).train
    mine = inertia(x, k_means(x, 4))
    theirs = cluster.KMeans(4, n_init=5, random_state=0).fit(x).inertia_
    assert mine == pytest.approx(theirs, rel=0.01)


def test_scores_are_scikit_learns():
    data = Data(n=400, m=200, spread=0.8)
    f = data.made
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (f.train, f.test)]
    found, _ = assign(unit[1], k_means(unit[0], 4))
    got = Clustering().run("encode", data)
    want = metrics.normalized_mutual_info_score(f.test_labels, found)
    assert got["nmi"] == pytest.approx(want, abs=1e-6)
    want = metrics.adjusted_rand_score(f.test_labels, found)
    assert got["ari"] == pytest.approx(want)
    assert 0.2 < got["nmi"] < got["accuracy"] < 1


def test_labels_choose_nothing():
    order = np.random.default_rng(0).permutation(60)
    got = Clustering().run("encode", Data(order, spread=2.0))
    assert got["nmi"] < 0.3 < Clustering().run("encode", Data(spread=2.0))["nmi"]


def test_equal_rows_and_empty_clusters_do_no_harm():
    x = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    centroids = k_means(x, 5)
    assert np.isfinite(centroids).all()
    assert inertia(x, centroids) == 0
    with pytest.raises(ValueError, match="16 clusters need as many examples, got 15"):
        k_means(x, 16)
    with pytest.raises(ValueError, match="must be positive"):
        Clustering(clusters=0)
