"""Linear SVMs, one for each class: VOC07 classification as Goyal et al. 2019 do it.

https://arxiv.org/abs/1905.01235; facebookresearch/vissl svm_low_shot and
benchmark_configs: squared hinge, positives count twice, features of unit length, the
cost of each class chosen by its average precision in three folds of train.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_ssl import metrics
from keras_ssl.core.progress import Progress
from keras_ssl.core.registry import register
from keras_ssl.evaluation import lbfgs
from keras_ssl.evaluation.data import Encode, EvaluationData, unit_rows
from keras_ssl.evaluation.measures import signs as as_signs
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome


@register("evaluation", "svm")
@dataclasses.dataclass(frozen=True)
class SVM(PerImage):
    """Mean average precision of one linear SVM a class on features of unit length.

    Images may have several labels, or one.

    Args:
        costs: What each may choose its cost from, positive.
        folds: Folds of train in which the choice is made, at least 2.
        positive_weight: How often a positive example counts, positive.
        points: `all` (area under the curve) or `eleven` (VOC 2007's measure).

    Raises:
        ValueError: If an argument is out of range.
    """

    score: ClassVar[str] = "map"
    several: ClassVar[bool] = True
    costs: Sequence[float] = (
        0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0,
    )  # fmt: skip
    folds: int = 3
    positive_weight: float = 2.0
    points: str = "all"

    def __post_init__(self) -> None:
        if not self.costs or min(*self.costs, self.positive_weight) <= 0:
            raise ValueError(
                "costs and positive_weight must be positive, got "
                f"{self.costs} and {self.positive_weight}."
            )
        if self.folds < 2 or self.points not in _MEASURES:
            raise ValueError(
                f"folds must be at least 2 and points one of {', '.join(_MEASURES)}, "
                f"got {self.folds} and {self.points!r}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `map`, over the classes that test has."""
        f = data.features(encode, several=True)
        train, test = unit_rows(f.train), unit_rows(f.test)
        signs, truth = (
            as_signs(x, f.num_classes) for x in (f.train_labels, f.test_labels)
        )
        costs = self.choose(train, signs)
        weights = fit_svm(train, signs, costs, self.positive_weight)
        scores = test @ weights[:-1] + weights[-1]

        def measure(rows: Rows) -> dict[str, float]:
            each = self._precision(scores[rows], truth[rows])
            return {"map": float(np.nanmean(each))}

        return outcome(f.test_index, measure)

    def choose(self, x: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """The cost of each class whose average precision over the folds is best.

        Args:
            x: `(n, d)` features.
            signs: `(n, c)` floats: 1, -1, or 0 for examples that do not count.

        Returns:
            `(c,)` costs; of equal ones the least.
        """
        fold = np.random.default_rng(0).permutation(len(x)) % self.folds
        found = np.zeros((len(self.costs), signs.shape[1]))
        fits = self.folds * len(self.costs)
        progress = Progress("Choosing the costs of SVMs", fits, "fits")
        for held in range(self.folds):
            fit, start = fold != held, None
            # From the least on: each solution is a good start for the next.
            for i, cost in enumerate(sorted(self.costs)):
                costs = np.full(signs.shape[1], cost)
                start = fit_svm(x[fit], signs[fit], costs, self.positive_weight, start)
                scores = x[~fit] @ start[:-1] + start[-1]
                found[i] += np.nan_to_num(self._precision(scores, signs[~fit]))
                progress.add()
        return np.asarray(sorted(self.costs))[np.argmax(found, axis=0)]

    def _precision(self, scores: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Average precision of each class."""
        measure = _MEASURES[self.points]
        # What does not count ranks last, as nothing that is asked for.
        ranked = np.where(signs != 0, scores, -np.inf)
        return measure(ranked.T, (signs > 0).T)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "solver": "L-BFGS",
            "costs": list(self.costs),
            "folds": self.folds,
            "positive_weight": self.positive_weight,
            "points": self.points,
            "features": "unit length",
        }


_MEASURES = {"all": metrics.average_precision, "eleven": metrics.eleven_point}


def fit_svm(
    x: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    positive_weight: float = 1.0,
    start: np.ndarray | None = None,
    max_iterations: int = 1000,
) -> np.ndarray:
    """Minimises `|w|^2 / 2 + cost * sum(max(0, 1 - sign * (w x + b))^2)` by class.

    The bias is penalised as another weight, as in liblinear.

    Args:
        x: `(n, d)` floats.
        signs: `(n, c)`: 1, -1, or 0 for examples that do not count.
        costs: `(c,)` positive costs.
        positive_weight: Factor of the cost of positive examples.
        start: A solution to start from; zeros if None.
        max_iterations: Bound on the L-BFGS iterations.

    Returns:
        `(d + 1, c)` float32 weights, the biases in the last row.
    """
    inputs = tf.constant(np.column_stack([x, np.ones(len(x))]), tf.float32)
    weight = np.where(signs > 0, positive_weight, 1.0) * (signs != 0) * costs
    given = (inputs, tf.constant(signs, tf.float32), tf.constant(weight, tf.float32))
    shape = (inputs.shape[1], signs.shape[1])
    # Of one size, classes of different costs are solved together as well as alone.
    size = tf.constant(1.0 + costs, tf.float64)
    return lbfgs.minimize(
        lambda weights: _loss_and_gradient(weights, *given, size),
        shape,
        start,
        max_iterations,
        history=20,
    )


@tf.function(autograph=False, reduce_retracing=True)
def _loss_and_gradient(
    weights: tf.Tensor,
    x: tf.Tensor,
    signs: tf.Tensor,
    weight: tf.Tensor,
    size: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The sum of the objectives over `size`, in float64, and its gradient."""
    slack = tf.nn.relu(1.0 - signs * tf.matmul(x, weights))
    losses = tf.reduce_sum(tf.cast(weight * slack**2, tf.float64), axis=0)
    values = losses + 0.5 * tf.reduce_sum(tf.cast(weights, tf.float64) ** 2, axis=0)
    slope = tf.matmul(x, weight * slack * signs, transpose_a=True)
    loss = tf.reduce_sum(values / size)
    return loss, (weights - 2.0 * slope) / tf.cast(size, tf.float32)
