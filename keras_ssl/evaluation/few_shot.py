"""Few-shot classification: ridge regression on a few labelled images of each class.

As big_vision's evaluator of few-shot transfer (Zhai et al. 2021,
https://arxiv.org/abs/2106.04560, appendix on few-shot): a linear regression to the
classes, in closed form.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import Encode, EvaluationData, unit_rows
from keras_ssl.evaluation.per_image import Outcome, PerImage, top1


@register("evaluation", "few_shot")
@dataclasses.dataclass(frozen=True)
class FewShot(PerImage):
    """Top-1 of a ridge regression to the classes, learned from a few images of each.

    Features have unit length and are centred by those few. The penalty is the one
    whose left-out errors on them, known in closed form, are the least.

    Args:
        shots: Labelled images of each class, at least 2.
        penalties: Strengths to choose from, positive.
        seed: Which images they are.

    Raises:
        ValueError: If there are too few shots or a penalty is not positive.
    """

    score: ClassVar[str] = "top1"
    shots: int = 10
    penalties: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shots < 2:
            raise ValueError(
                f"shots must be at least 2, as one is left out; got {self.shots}."
            )
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(
                f"penalties needs positive strengths, got {self.penalties}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `top1` and the chosen `penalty`.

        Raises:
            ValueError: If a class has too few train images.
        """
        f = data.features(encode)
        few = draw(f.train_labels, f.num_classes, self.shots, self.seed)
        x, labels = unit_rows(f.train[few]).astype(np.float64), f.train_labels[few]
        mean = x.mean(axis=0)
        targets = np.eye(f.num_classes)[labels]
        share = targets.mean(axis=0)
        weights, penalty = ridge(x - mean, targets - share, self.penalties)
        predicted = np.argmax((unit_rows(f.test) - mean) @ weights + share, axis=1)
        return top1(predicted, f, {"penalty": penalty})

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "shots": self.shots,
            "penalties": list(self.penalties),
            "seed": self.seed,
            "features": "unit length, centred",
        }


def draw(labels: np.ndarray, num_classes: int, shots: int, seed: int) -> np.ndarray:
    """Rows of so many examples of each class, by class.

    Args:
        labels: `(n,)` integers in `[0, num_classes)`.
        num_classes: Number of classes.
        shots: Examples of each.
        seed: Which ones.

    Returns:
        `(num_classes * shots,)` int64, without repetition.

    Raises:
        ValueError: If a class has fewer.
    """
    random = np.random.default_rng(seed)
    found = []
    for label in range(num_classes):
        rows = np.flatnonzero(labels == label)
        if len(rows) < shots:
            raise ValueError(
                f"{shots} images of each class are asked for, and class {label} has "
                f"{len(rows)} in train. Ask for fewer, or take more of train."
            )
        found.append(random.choice(rows, shots, replace=False))
    return np.concatenate(found)


def ridge(
    x: np.ndarray, targets: np.ndarray, penalties: Sequence[float]
) -> tuple[np.ndarray, float]:
    """The regression with the least left-out error over some penalties.

    All from one decomposition: the error of an example that is left out is its own
    residual over `1 - h`, with `h` its leverage (Golub et al. 1979).

    Args:
        x: `(n, d)` float64, centred.
        targets: `(n, c)` float64, centred.
        penalties: Strengths, positive.

    Returns:
        `(d, c)` weights that minimise `|x w - targets|^2 + penalty |w|^2`, and the
        penalty.
    """
    left, values, right = np.linalg.svd(x, full_matrices=False)
    inside = left.T @ targets
    errors = []
    for penalty in penalties:
        shrink = values**2 / (values**2 + penalty)
        # Centring is a regression too, and sees each example.
        leverage = (left**2) @ shrink + 1 / len(x)
        residual = targets - left @ (shrink[:, None] * inside)
        errors.append(np.mean((residual / (1 - leverage)[:, None]) ** 2))
    best = float(penalties[int(np.argmin(errors))])
    scale = values / (values**2 + best)
    return right.T @ (scale[:, None] * inside), best
