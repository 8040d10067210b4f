import numpy as np
import pytest

from keras_ssl.evaluation import bounds, neighbours
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


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("distance", neighbours.DISTANCES)
@pytest.mark.parametrize(("decay", "width"), [(1.0, 256), (0.0, None)])
def test_bounds_hold_and_tell(monkeypatch, half, distance, decay, width):
    """None is below what it bounds; few are above the tenth of the nearest."""
    monkeypatch.setattr(bounds, "half_is_faster", lambda: half)
    x = rows(1300, 600, decay)
    x[:300] *= 3
    train, test = x[:1200], x[1200:]
    search = neighbours._Search(train, distance, 100, 10)
    scale = search._scale(test)
    basis = width and bounds.basis(train, search.scale, search.mean, width)
    got, lengths, unit = search._bounds(basis).of(test, scale)
    got = unit * got.numpy().astype(np.float64)
    assert np.isneginf(got[:, 1200:]).all()
    every = similarities(train, test, distance)
    centred = (test * scale[:, None] - search.mean).astype(np.float64)
    np.testing.assert_allclose(lengths, np.linalg.norm(centred, axis=1), rtol=1e-5)
    squares = (centred**2).sum(1)[:, None] / 2
    true = squares - every**2 / 2 if distance == "euclidean" else every - 1 + squares
    assert (got[:, :1200] >= true).all()
    tenth = np.sort(true, axis=1)[:, -10, None]
    assert ((got[:, :1200] >= tenth).sum(axis=1)).mean() < 30


def test_few_rows_are_compared_in_full(monkeypatch):
    """Of features that fall off nor of noise; of copies all."""
    asked, in_full = [], neighbours._Search._in_full

    def count(self, test, *rest):
        asked.append(len(test))
        return in_full(self, test, *rest)

    monkeypatch.setattr(neighbours._Search, "_in_full", count)
    for decay in (1.0, 0.0):
        x = rows(2200, 600, decay)
        nearest(x[:2000], x[2000:], 10)
        assert sum(asked) <= 20
        asked.clear()
    got = nearest(np.repeat(x[:2], 1000, axis=0), x[:2], 10)
    assert sum(asked) == 2
    want = [list(range(10)), list(range(1000, 1010))]
    assert got.indices.tolist() == want


def test_features_like_noise_need_no_basis():
    for decay, needed in ((1.0, True), (0.0, False)):
        x = rows(2500, 600, decay)
        ones, mean = np.ones(2500, np.float32), x.mean(0)
        found = bounds.basis(x, ones, mean, 256)
        assert (found is not None) == needed
    x = rows(2500, 600, 1.0)
    found = bounds.basis(x, ones, mean, 256).numpy()
    np.testing.assert_allclose(found.T @ found, np.eye(256), atol=1e-5)


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
