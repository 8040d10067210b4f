"""Linear SVMs, one for each class: VOC07 classification as Goyal et al. 2019 do it.

https://arxiv.org/abs/1905.01235; facebookresearch/vissl svm_low_shot and
benchmark_configs: squared hinge, positives count twice, features of unit length, the
cost of each class chosen by its average precision in three folds of train.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from keras_ssl import metrics
from keras_ssl.core.progress import Progress
from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData, unit_rows
from keras_ssl.evaluation.measures import signs as as_signs
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome
from keras_ssl.evaluation.squared_hinge import SquaredHinge


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
        problem = SquaredHinge(train)
        costs = self.choose(train, signs, problem)
        weights = fit_svm(train, signs, costs, self.positive_weight, problem=problem)
        scores = test @ weights[:-1] + weights[-1]

        def measure(rows: Rows) -> dict[str, float]:
            each = self._precision(scores[rows], truth[rows])
            return {"map": float(np.nanmean(each))}

        return outcome(f.test_index, measure)

    def choose(
        self, x: np.ndarray, signs: np.ndarray, problem: SquaredHinge | None = None
    ) -> np.ndarray:
        """The cost of each class whose average precision over the folds is best.

        Args:
            x: `(n, d)` features.
            signs: `(n, c)` floats: 1, -1, or 0 for examples that do not count.
            problem: What was made of `x` before; made anew if None.

        Returns:
            `(c,)` costs; of equal ones the least.
        """
        fold = np.random.default_rng(0).permutation(len(x)) % self.folds
        found = np.zeros((len(self.costs), signs.shape[1]))
        fits = self.folds * len(self.costs)
        progress = Progress("Choosing the costs of SVMs", fits, "fits")
        problem, positive = problem or SquaredHinge(x), self.positive_weight
        for held in range(self.folds):
            fit, start = fold != held, None
            # From the least on: each solution is a good start for the next.
            for i, cost in enumerate(sorted(self.costs)):
                costs = np.full(signs.shape[1], cost)
                start = fit_svm(x, signs, costs, positive, start, problem, fit)
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
            "solver": "Newton",
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
    problem: SquaredHinge | None = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Minimises `|w|^2 / 2 + cost * sum(max(0, 1 - sign * (w x + b))^2)` by class.

    The bias is penalised as another weight, as in liblinear.

    Args:
        x: `(n, d)` floats.
        signs: `(n, c)`: 1, -1, or 0 for examples that do not count.
        costs: `(c,)` positive costs.
        positive_weight: Factor of the cost of positive examples.
        start: A solution to start from; zeros if None.
        problem: What was made of `x` before, for another fit; made anew if None.
        rows: `(n,)` booleans: what is fitted; all if None.

    Returns:
        `(d + 1, c)` float32 weights, the biases in the last row.
    """
    problem = problem or SquaredHinge(x)
    weight = np.where(signs > 0, positive_weight, 1.0) * (signs != 0)
    found = np.zeros((x.shape[1] + 1, signs.shape[1]), np.float32)
    for cost in np.unique(costs):
        mine = costs == cost
        first = None if start is None else start[:, mine]
        found[:, mine] = problem.fit(
            signs[:, mine], weight[:, mine], float(cost), first, rows
        )
    return found
