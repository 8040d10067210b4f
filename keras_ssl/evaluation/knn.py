"""Weighted nearest neighbours: Wu et al. 2018, https://arxiv.org/abs/1805.01978."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData

# Similarities held at a time: 256 MB of float32.
_CHUNK = 64 << 20


@register("evaluation", "knn")
@dataclasses.dataclass(frozen=True)
class KNN:
    """Top-1 of weighted k-nearest-neighbour votes on frozen features.

    Args:
        k: Neighbours that vote; at most the number of train images.
        temperature: Positive; votes weigh `exp(cosine / temperature)`.

    Raises:
        ValueError: If `k` or `temperature` is not positive.
    """

    k: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        _check(self.k, self.temperature)

    def run(self, encode: Encode, data: EvaluationData) -> dict[str, float]:
        """Returns `{"top1": share of test images classified right}`."""
        f = data.features(encode)
        predicted = knn_predict(
            f.train,
            f.train_labels,
            f.test,
            f.num_classes,
            min(self.k, len(f.train)),
            self.temperature,
        )
        return {"top1": float(np.mean(predicted == f.test_labels))}

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {"k": self.k, "temperature": self.temperature, "distance": "cosine"}


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
    facebookresearch/dino eval_knn.py. Runs over the test set in chunks, so that
    memory stays bounded. Ties go to the first class.

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
    if k > len(train_features):
        raise ValueError(
            f"k must be at most the {len(train_features)} train examples, got {k}."
        )
    train = tf.math.l2_normalize(tf.cast(train_features, tf.float32), -1)
    test = tf.math.l2_normalize(tf.cast(test_features, tf.float32), -1)
    labels = tf.cast(train_labels, tf.int32)
    rows = max(1, _CHUNK // max(1, int(train.shape[0])))
    votes = [
        _votes(train, labels, test[at : at + rows], num_classes, k, temperature)
        for at in range(0, int(test.shape[0]), rows)
    ]
    return np.concatenate([np.argmax(v, axis=1) for v in votes]).astype(np.int64)


def _votes(
    train: tf.Tensor,
    labels: tf.Tensor,
    test: tf.Tensor,
    num_classes: int,
    k: int,
    temperature: float,
) -> np.ndarray:
    near, index = tf.math.top_k(tf.matmul(test, train, transpose_b=True), k)
    # Relative to the nearest: exp(1 / temperature) may not fit in float32.
    weights = tf.exp((near - near[:, :1]) / temperature)
    one_hot = tf.one_hot(tf.gather(labels, index), num_classes)
    return tf.einsum("mk,mkc->mc", weights, one_hot).numpy()


def _check(k: int, temperature: float) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
