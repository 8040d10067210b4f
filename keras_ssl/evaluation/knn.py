"""Weighted nearest neighbours: Wu et al. 2018, https://arxiv.org/abs/1805.01978."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.neighbours import DISTANCES, Neighbours, nearest
from keras_ssl.evaluation.per_image import Outcome, PerImage, top1


@register("evaluation", "knn")
@dataclasses.dataclass(frozen=True)
class KNN(PerImage):
    """Top-1 of weighted k-nearest-neighbour votes on frozen features.

    Args:
        k: Neighbours that vote; at most the number of train images.
        temperature: Positive; votes weigh `exp(similarity / temperature)`.
        distance: `cosine`, as in the paper, or `euclidean`, whose similarity is minus
            the distance.

    Raises:
        ValueError: If `k` or `temperature` is not positive, or there is no such
            distance.
    """

    score: ClassVar[str] = "top1"
    k: int = 20
    temperature: float = 0.07
    distance: str = "cosine"

    def __post_init__(self) -> None:
        _check(self.k, self.temperature)
        if self.distance not in DISTANCES:
            raise ValueError(
                f"distance must be one of {', '.join(DISTANCES)}, got "
                f"{self.distance!r}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `{"top1": share of test images classified right}`."""
        f = data.features(encode)
        k = min(self.k, len(f.train))
        found = nearest(f.train, f.test, k, self.distance)
        predicted = _vote(found, f.train_labels, f.num_classes, self.temperature)
        return top1(predicted, f)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "k": self.k,
            "temperature": self.temperature,
            "distance": self.distance,
        }


def knn_predict(
    train_features: Any,
    train_labels: Any,
    test_features: Any,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> np.ndarray:
    """Classifies by the votes of the `k` nearest train examples, exactly.

    Cosine similarity; votes weigh `exp(similarity / temperature)`, as in
    facebookresearch/dino eval_knn.py. Memory stays bounded. Ties go to the first class.

    Args:
        train_features: `(n, d)`.
        train_labels: `(n,)` integers in `[0, num_classes)`.
        test_features: `(m, d)`.
        num_classes: Number of classes.
        k: Neighbours that vote, in `[1, n]`.
        temperature: Positive divisor of the similarity.

    Returns:
        `(m,)` int64 classes.

    Raises:
        ValueError: If `k` or `temperature` is out of range.
    """
    _check(k, temperature)
    found = nearest(np.asarray(train_features), np.asarray(test_features), k)
    return _vote(found, np.asarray(train_labels), num_classes, temperature)


def _vote(
    found: Neighbours, labels: np.ndarray, num_classes: int, temperature: float
) -> np.ndarray:
    near = found.similarity.astype(np.float64)
    # Relative to the nearest: exp(1 / temperature) may be too large a number.
    weights = np.exp((near - near[:, :1]) / temperature)
    votes = np.zeros((len(near), num_classes))
    rows = np.arange(len(near))[:, None]
    np.add.at(votes, (rows, labels[found.indices]), weights)
    return np.argmax(votes, axis=1).astype(np.int64)


def _check(k: int, temperature: float) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
