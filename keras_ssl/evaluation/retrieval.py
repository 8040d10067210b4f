"""Retrieval: whether images of a test image's class come first among train images."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_ssl import metrics
from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData, Features, unit_rows
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome

# Similarities ranked at a time: 32 MB of float32, and some 200 MB beside.
_CHUNK = 8 << 20


@register("evaluation", "retrieval")
@dataclasses.dataclass(frozen=True)
class Retrieval(PerImage):
    """Mean average precision and recall@k of test images among train images, by cosine.

    Relevant to an image are those of its class. Recall@k is the share of test images
    with a relevant one among the first k, as in metric learning (Jegou et al. 2011).

    Args:
        ks: The numbers k of recall@k, each positive; at most the number of train
            images count.
        queries: Most test images that ask, evenly spread; all if None.

    Raises:
        ValueError: If a number is not positive.
    """

    score: ClassVar[str] = "map"
    ks: Sequence[int] = (1, 5, 10)
    queries: int | None = None

    def __post_init__(self) -> None:
        least = 1 if self.queries is None else self.queries
        if not self.ks or min(*self.ks, least) < 1:
            raise ValueError(
                f"ks and queries must be positive, got {self.ks} and {self.queries}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `map` and `recall@k`; images whose class train lacks do not count."""
        f = data.features(encode)
        train, known = unit_rows(f.train), np.isin(f.test_labels, f.train_labels)
        each = np.zeros((len(f.test), 1 + len(self.ks)))
        done = np.zeros(len(f.test), bool)

        def measure(rows: Rows) -> dict[str, float]:
            counts = np.zeros(len(f.test), bool)
            counts[rows] = True
            asked = np.flatnonzero(known & counts)
            if self.queries is not None and self.queries < len(asked):
                asked = asked[np.linspace(0, len(asked) - 1, self.queries).astype(int)]
            # Of fewer images others may ask.
            new = asked[~done[asked]]
            chunk = max(1, _CHUNK // len(train))
            for part in np.split(new, range(chunk, len(new), chunk)):
                test = unit_rows(f.test[part])
                each[part] = self._of(f, train, test, f.test_labels[part])
            done[new] = True
            names = ("map", *(f"recall@{k}" for k in self.ks))
            mean = each[asked].mean(axis=0)
            return dict(zip(names, map(float, mean), strict=True))

        return outcome(f.test_index, measure)

    def _of(
        self, f: Features, train: np.ndarray, test: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """`(m, 1 + ks)` average precisions and whether the first k hold a right one."""
        similarity = test @ train.T
        relevant = f.train_labels == labels[:, None]
        most = min(max(self.ks), len(train))
        # Of equal ones the first.
        first = tf.math.top_k(similarity, most).indices.numpy()
        found = np.cumsum(np.take_along_axis(relevant, first, 1), axis=1) > 0
        recalls = [found[:, min(k, most) - 1] for k in self.ks]
        precision = metrics.average_precision(similarity, relevant)
        return np.column_stack([precision, *recalls])

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "ks": list(self.ks),
            "queries": self.queries,
            "gallery": "train",
            "distance": "cosine",
        }
