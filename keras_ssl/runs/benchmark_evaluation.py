"""Evaluations beside what scikit-learn does on the same features, in one process."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_ssl.core import checks, usage
from keras_ssl.evaluation.clustering import assign, k_means
from keras_ssl.evaluation.knn import knn_predict
from keras_ssl.evaluation.linear import fit_logistic
from keras_ssl.evaluation.svm import fit_svm

# Train, test, width.
SIZES = ((5000, 1000, 2048), (25000, 2500, 2048))
# The size whose memory is measured.
MEMORY = (50000, 10000, 2048)
# Rows, width, classes.
FITS = ((5000, 128, 10), (20000, 256, 10))
_CLASSES, _K, _TEMPERATURE, _L2, _COST = 10, 20, 0.07, 1e-3, 1.0
_SPEED_GOAL, _MEMORY_GOAL = 5.0, 1024.0
Rows = list[dict[str, Any]]
# What is timed, and what a value of it is: a loss, if it has one.
Contender = tuple[Callable[[], Any], Callable[[Any], float] | None]


def rows(
    sizes: tuple[tuple[int, int, int], ...] = SIZES,
    memory: tuple[int, int, int] | None = MEMORY,
    fits: tuple[tuple[int, int, int], ...] = FITS,
    rounds: int = 3,
) -> Rows:
    """Measures both; contenders take turns in one process.

    Args:
        sizes: Train rows, test rows and width of the neighbours' features.
        memory: Those whose peak memory is measured, if any.
        fits: Rows, width and classes of what is fitted.
        rounds: Turns that count, after one that does not.

    Returns:
        A row for each contender: `case`, `contender`, `milliseconds`, the median of
        processor time, `ours_to_it` and `goal`, and of what is fitted the `loss`. A row
        of the peak memory: `megabytes` above the features in a process of its own, and
        `goal`.

    Raises:
        ValueError: If `rounds` is not positive.
    """
    checks.positive(rounds=rounds)
    found: Rows = []
    for size in sizes:
        name = " x ".join(f"{n:,}" for n in size)
        for kind in ("decaying", "isotropic"):
            case = f"nearest neighbours, {name}, {kind} features"
            found += _timed(case, _neighbours(*made(*size, kind)), rounds, _SPEED_GOAL)
    if memory:
        name = " x ".join(f"{n:,}" for n in memory)
        found.append(
            {
                "case": f"nearest neighbours, {name}: memory",
                "contender": "knn_predict",
                "megabytes": round(_peak_elsewhere(memory), 1),
                "goal": _MEMORY_GOAL,
            }
        )
    for size in fits:
        name = " x ".join(f"{n:,}" for n in size)
        x, labels = _classified(*size)
        for kind, contenders in (
            ("logistic regression", _regressions(x, labels)),
            ("SVM, one against the rest", _machines(x, labels)),
            ("k-means, five starts", _clusters(x)),
        ):
            found += _timed(f"{kind}, {name}", contenders, rounds, 1.0)
    return found


def made(
    count: int, tests: int, width: int, kind: str, classes: int = _CLASSES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with labels.

    Args:
        count: Train rows.
        tests: Test rows.
        width: Numbers of a row.
        kind: `decaying`, whose directions shrink as one over their rank, nearly as
            encoders' do; or `isotropic`, where no direction tells more than another.
        classes: Number of classes.

    Returns:
        Train `(count, width)` and test `(tests, width)` float32, and train's labels.
    """
    random = np.random.default_rng(0)
    x = random.standard_normal((count + tests, width), np.float32)
    if kind == "decaying":
        x *= (np.arange(1, width + 1) ** -1.0).astype(np.float32)
        x = x @ np.linalg.qr(random.normal(size=(width, width)))[0].astype(np.float32)
    return x[:count], x[count:], random.integers(0, classes, count)


def peak(count: int, tests: int, width: int) -> float:
    """MB (2^20 bytes) that `knn_predict` takes above its features, a first call's."""
    train, test, labels = made(count, tests, width, "isotropic")
    # What kernels take for the first time is not the search's.
    knn_predict(train[:64], labels[:64], test[:8], _CLASSES)
    before = usage.resident_memory()["now"]
    knn_predict(train, labels, test, _CLASSES)
    return (usage.resident_memory()["most"] - before) / 2**20


def _peak_elsewhere(size: tuple[int, int, int]) -> float:
    code = (
        "import json\n"
        "from keras_ssl.runs import benchmark_evaluation\n"
        f"print(json.dumps(benchmark_evaluation.peak(*{size})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _timed(
    case: str, contenders: dict[str, Contender], rounds: int, goal: float
) -> Rows:
    """A row a contender, ours first; ratios are taken within a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    values: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name, (call, _) in contenders.items():
            begun = time.process_time()
            values[name] = call()
            if turn:
                seconds[name].append(time.process_time() - begun)
    ours = next(iter(seconds.values()))
    found = []
    for name, mine in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(mine, ours, strict=True))
        row = {
            "case": case,
            "contender": name,
            "milliseconds": round(1e3 * statistics.median(mine), 1),
            "ours_to_it": round(ratio, 2),
            "goal": goal if mine is not ours else None,
        }
        loss = contenders[name][1]
        if loss:
            row["loss"] = round(loss(values[name]), 6)
        found.append(row)
    return found


def _neighbours(
    train: np.ndarray, test: np.ndarray, labels: np.ndarray
) -> dict[str, Contender]:
    """Votes of neighbours, and those products that nobody's search does without."""
    # Imported late: what is compared with is no part of a run.
    from sklearn.neighbors import KNeighborsClassifier

    def theirs(metric: str) -> np.ndarray:
        def weights(far: np.ndarray) -> np.ndarray:
            # Of unit rows the squared distance is twice one minus the cosine.
            return np.exp(
                (1 - (far if metric == "cosine" else far**2 / 2)) / _TEMPERATURE
            )

        known, asked = train, test
        if metric == "euclidean":
            unit = (x / np.linalg.norm(x, axis=1)[:, None] for x in (train, test))
            known, asked = unit
        model = KNeighborsClassifier(
            _K, metric=metric, algorithm="brute", weights=weights
        )
        return model.fit(known, labels).predict(asked)

    return {
        "knn_predict": (
            lambda: knn_predict(train, labels, test, _CLASSES, _K, _TEMPERATURE),
            None,
        ),
        "scikit-learn, brute force, cosine": (lambda: theirs("cosine"), None),
        "scikit-learn, brute force, Euclid on unit rows": (
            lambda: theirs("euclidean"),
            None,
        ),
        "the products alone, float32": (lambda: test @ train.T, None),
    }


def _classified(count: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features of correlated directions, and noisy linear classes."""
    x, _, _ = made(count, 1, width, "decaying")
    x = np.maximum(x, 0)
    x = (x - x.mean(0)) / x.std(0)
    random = np.random.default_rng(1)
    pull = random.normal(size=(width, classes)) / np.sqrt(width)
    labels = np.argmax(x @ pull + random.gumbel(size=(count, classes)), axis=1)
    return x.astype(np.float32), labels


def _regressions(x: np.ndarray, labels: np.ndarray) -> dict[str, Contender]:
    from sklearn.linear_model import LogisticRegression

    count, classes = len(x), int(labels.max()) + 1

    def theirs() -> np.ndarray:
        # Its C divides the penalty of the sum, our l2 multiplies that of the mean.
        cost = 1 / (_L2 * count)
        model = LogisticRegression(C=cost, tol=1e-4, max_iter=1000).fit(x, labels)
        return np.vstack([model.coef_.T, model.intercept_])

    def loss(weights: np.ndarray) -> float:
        logits = x.astype(np.float64) @ weights[:-1] + weights[-1]
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[np.arange(count), labels]
        losses = np.log(np.exp(logits).sum(axis=1)) - own
        return float(losses.mean() + _L2 / 2 * np.sum(weights[:-1] ** 2))

    return {
        "fit_logistic": (lambda: fit_logistic(x, labels, classes, _L2, 1000), loss),
        "scikit-learn, L-BFGS, its own tolerance": (theirs, loss),
    }


def _machines(x: np.ndarray, labels: np.ndarray) -> dict[str, Contender]:
    from sklearn.svm import LinearSVC

    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    classes = int(labels.max()) + 1
    signs = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)

    def theirs() -> np.ndarray:
        # As vissl has it; the primal is faster here, and solves the same.
        model = LinearSVC(C=_COST, dual=False, tol=1e-4, max_iter=2000).fit(x, labels)
        return np.vstack([model.coef_.T, model.intercept_])

    def loss(weights: np.ndarray) -> float:
        scores = x.astype(np.float64) @ weights[:-1] + weights[-1]
        slack = np.maximum(1 - signs * scores, 0)
        value = 0.5 * np.sum(weights**2) + _COST * np.sum(slack**2)
        return float(value / len(x))

    costs = np.full(classes, _COST)
    return {
        "fit_svm": (lambda: fit_svm(x, signs, costs), loss),
        "scikit-learn, LinearSVC, primal": (theirs, loss),
    }


def _clusters(x: np.ndarray) -> dict[str, Contender]:
    from sklearn.cluster import KMeans

    def theirs() -> np.ndarray:
        model = KMeans(_CLASSES, n_init=5, max_iter=100, tol=0.0, random_state=0)
        return np.asarray(model.fit(x).cluster_centers_)

    def loss(centroids: np.ndarray) -> float:
        return float(np.mean(assign(x, centroids)[1], dtype=np.float64))

    return {
        "k_means": (lambda: k_means(x, _CLASSES, 5, 100, 0), loss),
        "scikit-learn, KMeans": (theirs, loss),
    }
