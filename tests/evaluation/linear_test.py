import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from keras_ssl.evaluation import linear
from keras_ssl.evaluation.data import Features
from keras_ssl.evaluation.linear import LinearProbe, fit_logistic, standardized


def problem(n=120, d=6, classes=3, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    centers = spread * rng.normal(size=(classes, d))
    labels = rng.integers(0, classes, n)
    x = centers[labels] + rng.normal(size=(n, d))
    return x.astype(np.float32), labels, classes


def objective(w, x, labels, l2):
    """Value and gradient in float64."""
    x1 = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    logits = x1 @ w
    logits -= logits.max(1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(x))
    penalty = np.concatenate([w[:-1], np.zeros((1, w.shape[1]))])
    value = -np.log(p[rows, labels]).mean() + l2 / 2 * np.sum(penalty**2)
    p[rows, labels] -= 1
    return value, x1.T @ p / len(x) + l2 * penalty


def descend(x, labels, classes, l2, steps=4000):
    """The optimum by many plain steps; the curvature is bounded by the data's."""
    x1 = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    rate = 1 / (0.5 * np.linalg.eigvalsh(x1.T @ x1 / len(x)).max() + l2)
    w, last = np.zeros((x1.shape[1], classes)), 0.0
    for step in range(steps):  # Nesterov's acceleration.
        ahead = w + step / (step + 3) * (w - last)
        last, w = w, ahead - rate * objective(ahead, x, labels, l2)[1]
    return w


@pytest.mark.parametrize("l2", [1e-1, 1e-2, 1e-3])
def test_logistic_regression_reaches_the_optimum(l2):
    x, labels, classes = problem()
    w = fit_logistic(x, labels, classes, l2, 500)
    assert w.shape == (7, 3)
    value, gradient = objective(w.astype(np.float64), x.astype(np.float64), labels, l2)
    assert np.linalg.norm(gradient) < 1e-4
    reference = descend(x.astype(np.float64), labels, classes, l2)
    best, slope = objective(reference, x, labels, l2)
    assert np.linalg.norm(slope) < 1e-5
    assert abs(value - best) < 1e-6
    np.testing.assert_allclose(w, reference, atol=2e-2)


@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize(
    "size", [(600, 40, 5, 0.5), (200, 120, 10, 0.5), (1500, 64, 10, 2.0)]
)
def test_reaches_the_optimum_of_scikit_learn(l2, size):
    n, d, classes, decay = size
    rng = np.random.default_rng(0)
    # As an encoder's: correlated, after a ReLU, of unlike strengths.
    strengths = np.arange(1, d + 1) ** -decay
    x = rng.normal(size=(n, d)) * strengths @ rng.normal(size=(d, d))
    labels = np.argmax(x @ rng.normal(size=(d, classes)) / d, axis=1)
    labels = np.where(rng.uniform(size=n) < 0.2, rng.integers(0, classes, n), labels)
    made = np.maximum(x, 0).astype(np.float32)
    x = standardized(Features(made, labels, made[:1], labels[:1], classes)).train
    wide = x.astype(np.float64)
    # Its C divides the penalty of a sum, l2 multiplies that of a mean.
    model = LogisticRegression(C=1 / (l2 * n), tol=1e-6, max_iter=5000)
    model.fit(wide, labels)
    best = np.vstack([model.coef_.T, model.intercept_])
    w = fit_logistic(x, labels, classes, l2)
    want, got = (
        objective(v.astype(np.float64), wide, labels, l2)[0] for v in (best, w)
    )
    assert abs(got - want) < 1e-4
    assert want > 1e-4


def test_biases_are_not_penalised():
    # With the penalty so strong, only biases are left: the classes' shares.
    x, _, _ = problem()
    labels = np.repeat([0, 1, 2], [80, 30, 10])
    w = fit_logistic(x, labels, 3, 1e6, 500)
    assert np.abs(w[:-1]).max() < 1e-5
    shares = np.exp(w[-1]) / np.exp(w[-1]).sum()
    np.testing.assert_allclose(shares, [80 / 120, 30 / 120, 10 / 120], atol=1e-3)


def test_the_start_does_not_change_the_end():
    x, labels, classes = problem()
    start = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    values = [
        objective(fit_logistic(x, labels, classes, 1e-2, 500, s), x, labels, 1e-2)[0]
        for s in (None, start)
    ]
    assert abs(values[0] - values[1]) < 1e-6
    early = fit_logistic(x, labels, classes, 1e-2, 1, start)
    assert objective(early, x, labels, 1e-2)[0] > values[0] + 1e-3


def test_classes_that_can_be_told_apart_and_large_features_stay_finite():
    x, labels, classes = problem(spread=50.0)
    w = fit_logistic(100 * x, labels, classes, 1e-4)
    assert np.isfinite(w).all()
    assert ((100 * x @ w[:-1] + w[-1]).argmax(1) == labels).all()


def test_features_are_standardised_by_train():
    train, labels, classes = problem()
    train = train * np.linspace(0.1, 9, 6, dtype=np.float32) + 5
    train[:, 2] = 3.0
    test = train[:10] + 1
    got = standardized(Features(train, labels, test, labels[:10], classes))
    alive = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(got.train[:, alive].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(got.train[:, alive].std(0), 1, atol=1e-5)
    want = (test - train.mean(0))[:, alive] / train.std(0)[alive]
    np.testing.assert_allclose(got.test[:, alive], want, rtol=1e-3, atol=1e-4)
    # A dead feature tells nothing, also where test differs.
    assert not got.train[:, 2].any()
    assert not got.test[:, 2].any()
    assert got.train.dtype == got.test.dtype == np.float32


class Data:
    """Features that need no encoder; few rows of noise, so that l2 matters."""

    def __init__(self, order=None, n=100, d=30, seed=7):
        x, labels, classes = problem(n + 200, d, seed=seed, spread=0.25)
        labels_of_test = labels[n:] if order is None else labels[n:][order]
        self.made = Features(x[:n], labels[:n], x[n:], labels_of_test, classes)

    def features(self, encode):
        assert encode == "encode"
        return self.made


PROBE = LinearProbe(l2=(1e-3, 1.0, 1e-1), held_out=0.3, max_iterations=200)


def accuracy(w, x, labels):
    return np.mean((x @ w[:-1] + w[-1]).argmax(1) == labels)


def test_l2_is_chosen_on_the_held_out_part_and_all_of_train_is_used():
    data = Data()
    f = standardized(data.made)
    fit, held = PROBE._parts(100)
    assert len(held) == 30
    np.testing.assert_array_equal(np.sort([*fit, *held]), np.arange(100))
    scores = {}
    for l2 in PROBE.l2:
        w = fit_logistic(f.train[fit], f.train_labels[fit], 3, l2, 50)
        scores[l2] = accuracy(w, f.train[held], f.train_labels[held])
    assert len(set(scores.values())) == 3, scores
    best = max(scores, key=scores.get)
    w = fit_logistic(f.train, f.train_labels, 3, best, 200)
    got = PROBE.run("encode", data)
    assert got["l2"] == best
    assert got["top1"] == pytest.approx(accuracy(w, f.test, f.test_labels), abs=0.006)
    assert got["top1"] > 0.4


def test_test_labels_choose_nothing():
    base = PROBE.run("encode", Data())
    got = PROBE.run("encode", Data(np.random.default_rng(0).permutation(200)))
    assert got["l2"] == base["l2"]
    assert got["top1"] < base["top1"]


def test_equal_scores_take_the_strongest_penalty(monkeypatch):
    monkeypatch.setattr(linear, "_accuracy", lambda *_: 0.5)
    assert PROBE.run("encode", Data())["l2"] == 1.0


def test_nothing_held_out_takes_the_strongest_penalty():
    assert LinearProbe(held_out=0.001).run("encode", Data())["l2"] == 0.1


def test_dead_features_do_no_harm():
    data = Data()
    base = PROBE.run("encode", data)
    dead = np.full((300, 4), 7.0, np.float32)
    data.made = data.made._replace(
        train=np.concatenate([data.made.train, dead[:100]], axis=1),
        test=np.concatenate([data.made.test, dead[100:] + 1], axis=1),
    )
    got = PROBE.run("encode", data)
    assert got["l2"] == base["l2"]
    assert got["top1"] == pytest.approx(base["top1"], abs=0.006)


def test_protocol_says_what_counts():
    said = LinearProbe(l2=(1.0,), held_out=0.2, max_iterations=9).protocol()
    assert (said["l2"], said["held_out"], said["max_iterations"]) == ([1.0], 0.2, 9)
    assert said["features"] == "standardised by train"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"l2": ()}, r"l2 needs positive strengths, got \(\)"),
        ({"l2": (0.1, 0.0)}, r"l2 needs positive strengths, got \(0.1, 0.0\)"),
        ({"held_out": 0.0}, r"held_out must be in \(0, 1\), got 0.0"),
        ({"held_out": 1.0}, r"held_out must be in \(0, 1\), got 1.0"),
    ],
)
def test_arguments_out_of_range(bad, words):
    with pytest.raises(ValueError, match=words):
        LinearProbe(**bad)
