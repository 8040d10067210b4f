"""Clusters of frozen features, found without labels and compared with the classes."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from keras_ssl import metrics
from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData, unit_rows
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome

# Distances held at a time: 64 MB of float32.
_CHUNK = 16 << 20


@register("evaluation", "clustering")
@dataclasses.dataclass(frozen=True)
class Clustering(PerImage):
    """NMI, ARI and matched accuracy of k-means clusters with the classes.

    Centroids are found on train features of unit length and score test images: no
    label is used before the score.

    Args:
        clusters: How many; as many as classes if None.
        starts: How often k-means begins anew; that of the least distances counts.
        iterations: Bound on the rounds of each start.
        seed: Of the starts.

    Raises:
        ValueError: If a number is not positive.
    """

    score: ClassVar[str] = "nmi"
    clusters: int | None = None
    starts: int = 5
    iterations: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        least = 1 if self.clusters is None else self.clusters
        if min(least, self.starts, self.iterations) < 1:
            raise ValueError(
                "clusters, starts and iterations must be positive, got "
                f"{self.clusters}, {self.starts} and {self.iterations}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `nmi`, `ari` and `accuracy`."""
        f = data.features(encode)
        count = self.clusters or f.num_classes
        train, test = unit_rows(f.train), unit_rows(f.test)
        centroids = k_means(train, count, self.starts, self.iterations, self.seed)
        found, _ = assign(test, centroids)
        most = max(count, f.num_classes)

        def measure(rows: Rows) -> dict[str, float]:
            both = found[rows], f.test_labels[rows]
            return {
                "nmi": float(metrics.normalized_mutual_information(*both, most)),
                "ari": metrics.adjusted_rand(*both),
                "accuracy": metrics.matched_accuracy(*both),
            }

        return outcome(f.test_index, measure)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "clusters": self.clusters or "classes",
            "starts": self.starts,
            "iterations": self.iterations,
            "seed": self.seed,
            "features": "unit length; centroids of train, scores of test",
        }


def k_means(
    x: np.ndarray, count: int, starts: int = 5, iterations: int = 100, seed: int = 0
) -> np.ndarray:
    """Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii 2007).

    Args:
        x: `(n, d)` floats, of at least `count` rows.
        count: Number of centroids.
        starts: How often it begins anew; the result with the least distances is kept.
        iterations: Bound on the rounds of a start, which ends when nothing changes.
        seed: Of the starts.

    Returns:
        `(count, d)` float32 centroids.

    Raises:
        ValueError: If there are fewer rows than clusters.
    """
    if len(x) < count:
        raise ValueError(f"{count} clusters need as many examples, got {len(x)}.")
    x = np.asarray(x, np.float32)
    random = np.random.default_rng(seed)
    best = (np.inf, np.zeros((count, x.shape[1]), np.float32))
    for _ in range(starts):
        centroids, last = _seeds(x, count, random), None
        for _ in range(iterations):
            found, squares = assign(x, centroids)
            if last is not None and np.array_equal(found, last):
                break
            last = found
            centroids = _means(x, found, squares, count)
        best = min(best, (float(squares.sum()), centroids), key=lambda item: item[0])
    return best[1]


def assign(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centroid of each row, and the squared distance to it.

    Args:
        x: `(n, d)`.
        centroids: `(k, d)`.

    Returns:
        `(n,)` int64 and `(n,)` floats.
    """
    own = np.einsum("kd,kd->k", centroids, centroids)
    found, squares = [], []
    rows = max(1, _CHUNK // len(centroids))
    for at in range(0, len(x), rows):
        part = x[at : at + rows]
        # Twice the few centroids and not the many rows, which makes no other numbers.
        apart = own - part @ (2 * centroids).T
        nearest = np.argmin(apart, axis=1)
        found.append(nearest)
        least = apart[np.arange(len(part)), nearest]
        squares.append(np.maximum(least + np.einsum("nd,nd->n", part, part), 0.0))
    return np.concatenate(found), np.concatenate(squares)


def _seeds(x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Rows drawn one after the other, by their squared distance to those before."""
    chosen = [int(random.integers(len(x)))]
    _, squares = assign(x, x[chosen])
    while len(chosen) < count:
        total = float(squares.sum(dtype=np.float64))
        # All rows may be equal to a chosen one.
        weights = squares / total if total > 0 else None
        weights = None if weights is None else weights / weights.sum(dtype=np.float64)
        chosen.append(int(random.choice(len(x), p=weights)))
        squares = np.minimum(squares, assign(x, x[chosen[-1:]])[1])
    return x[chosen]


def _means(
    x: np.ndarray, found: np.ndarray, squares: np.ndarray, count: int
) -> np.ndarray:
    """Means of the clusters; an empty one goes to the row that is farthest off."""
    counts = np.bincount(found, minlength=count)
    full = counts > 0
    ones = np.ones(len(x), np.float32)
    shape = len(x), count
    members = sparse.csr_array((ones, found, np.arange(len(x) + 1)), shape)
    # One pass over the rows, whatever their order and however many clusters.
    sums = members.T @ x
    centroids = np.empty((count, x.shape[1]), np.float32)
    centroids[full] = sums[full] / counts[full, None]
    if not full.all():
        farthest = np.argsort(-squares, kind="stable")
        centroids[~full] = x[farthest[: np.sum(~full)]]
    return centroids
