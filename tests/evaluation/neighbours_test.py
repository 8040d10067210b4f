import numpy as np
import pytest

from keras_ssl.evaluation import neighbours
from keras_ssl.evaluation.neighbours import nearest


def rows(n, d, decay, seed=0):
    """Rows whose variance falls off over directions as features' does."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    scale = np.arange(1, d + 1) ** -decay
    return ((rng.normal(size=(n, d)) * scale) @ turn + 0.02).astype(np.float32)


def similarities(train, test, distance):
    """All of them, in float64."""
    train, test = train.astype(np.float64), test.astype(np.float64)
    if distance == "euclidean":
        apart = (test**2).sum(1)[:, None] + (train**2).sum(1) - 2 * test @ train.T
        return -np.sqrt(np.maximum(apart, 0))
    lengths = [np.linalg.norm(x, axis=1) for x in (test, train)]
    return test @ train.T / lengths[0][:, None] / lengths[1]


@pytest.mark.parametrize("distance", neighbours.DISTANCES)
@pytest.mark.parametrize(("d", "decay"), [(20, 0.0), (600, 1.0), (600, 0.3)])
def test_they_are_the_nearest(distance, d, decay):
    x = rows(900, d, decay)
    train, test, k = x[:700], x[700:], 7
    got = nearest(train, test, k, distance)
    every = similarities(train, test, distance)
    want = np.sort(every, axis=1)[:, ::-1][:, :k]
    assert (got.indices.shape, got.indices.dtype) == ((200, k), np.int64)
    found = np.take_along_axis(every, got.indices, 1)
    # Which of two is nearer, single precision need not tell.
    np.testing.assert_allclose(found, want, atol=2e-6)
    np.testing.assert_allclose(got.similarity, found, atol=2e-5)
    assert len(np.unique(got.indices[0])) == k


def test_bounds_spare_work_only_where_they_hold(monkeypatch):
    """Of features that fall off few rows are compared in full; of noise all."""
    asked, in_full = [], neighbours._Search._in_full

    def count(self, test, *rest):
        asked.append(len(test))
        return in_full(self, test, *rest)

    monkeypatch.setattr(neighbours._Search, "_in_full", count)
    for decay, least, most in ((1.0, 0, 20), (0.0, 190, 200)):
        x = rows(2200, 600, decay)
        nearest(x[:2000], x[2000:], 10)
        assert least <= sum(asked) <= most
        asked.clear()


@pytest.mark.parametrize("distance", neighbours.DISTANCES)
def test_a_copy_is_nearest_and_the_first_of_equals_comes_first(distance):
    train = rows(800, 520, 0.5)
    train[700] = train[3]
    got = nearest(train, train[[3, 9]], 2, distance)
    assert got.indices[0].tolist() == [3, 700]
    assert got.indices[1, 0] == 9
    assert got.similarity[1, 0] == pytest.approx(float(distance == "cosine"), abs=1e-6)


def test_a_row_of_zeros_is_like_nothing():
    train = rows(50, 8, 0.0)
    train[4] = 0
    got = nearest(train, np.zeros((1, 8), np.float32), 50)
    assert not got.similarity.any()
    got = nearest(train, train[:1], 50)
    assert got.similarity[0, got.indices[0].tolist().index(4)] == 0


@pytest.mark.parametrize("chunk", [1, 1000, 10**9])
def test_chunks_change_nothing(monkeypatch, chunk):
    x = rows(700, 520, 0.7)
    want = nearest(x[:600], x[600:], 5)
    for name in ("_CHUNK", "_GATHERED"):
        monkeypatch.setattr(neighbours, name, chunk)
    got = nearest(x[:600], x[600:], 5)
    np.testing.assert_array_equal(got.indices, want.indices)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, r"k must be in \[1, 50\], the train examples; got 0"),
        ({"k": 51}, "got 51"),
        ({"distance": "cosin"}, "cosine, euclidean, got 'cosin'"),
        ({"test": np.zeros((3, 7))}, r"\(50, 8\) and \(3, 7\)"),
        ({"test": np.zeros(8)}, r"\(50, 8\) and \(8,\)"),
    ],
)
def test_arguments_out_of_range(change, words):
    given = {"train": rows(50, 8, 0.0), "test": rows(3, 8, 0.0), "k": 2} | change
    with pytest.raises(ValueError, match=words):
        nearest(**given)
