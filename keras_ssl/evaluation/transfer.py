"""Transfer to other data sets by a linear classifier on frozen features.

The protocol of SimCLR, appendix B.8 (https://arxiv.org/abs/2002.05709), after
Kornblith et al. 2019 (https://arxiv.org/abs/1805.08974): multinomial logistic
regression by L-BFGS, no augmentation, the penalty chosen on validation images, then
fitted to these too; a sigmoid a class where images have several labels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssl.core.registry import register
from keras_ssl.evaluation import lbfgs
from keras_ssl.evaluation.data import Encode, EvaluationData, Features
from keras_ssl.evaluation.linear import fit_logistic
from keras_ssl.evaluation.measures import MEASURES, signs
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome
from keras_ssl.evaluation.sigmoid import fit_sigmoids

# 45 strengths, of which each is the last one times 1.78.
GRID = tuple(float(f"{10**power:.3g}") for power in np.linspace(-6, 5, 45))


@register("evaluation", "transfer")
@dataclasses.dataclass(frozen=True)
class Transfer(PerImage):
    """A linear classifier whose penalty is chosen on validation images.

    Args:
        score: What counts: `top1`, `mean_per_class` or, for images of several labels,
            `map` (VOC 2007's eleven points).
        l2: Penalties to choose from, positive: factors of `|weights|^2 / 2` beside the
            sum of the losses, as scikit-learn's `1 / C`.
        coarse: First every so many of them is tried, then those around the best by
            halves; 1 tries all.
        held_out: Validation images where the data have none of their own: a share of
            train in (0, 1), or their number, drawn once and for all.
        max_iterations: Bound on the L-BFGS iterations of each fit.

    Raises:
        ValueError: If an argument is out of range.
    """

    score: str = "top1"
    l2: Sequence[float] = GRID
    coarse: int = 4
    held_out: float = 0.1
    max_iterations: int = 200

    def __post_init__(self) -> None:
        if self.score not in MEASURES:
            raise ValueError(
                f"score must be one of {', '.join(MEASURES)}, got {self.score!r}."
            )
        if not self.l2 or min(self.l2) <= 0:
            raise ValueError(f"l2 needs positive strengths, got {self.l2}.")
        if self.held_out <= 0 or min(self.coarse, self.max_iterations) < 1:
            raise ValueError(
                "held_out must be positive and coarse and max_iterations at least 1; "
                f"got {self.held_out}, {self.coarse} and {self.max_iterations}."
            )

    @property
    def several(self) -> bool:
        """Whether images may have several labels."""
        return self.score == "map"

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has the score, that of the validation images, and the chosen `l2`."""
        f = data.features(encode, self.several)
        x, y, held = self._parts(f)
        test = signs(f.test_labels, f.num_classes) if self.several else f.test_labels
        l2, score, start = self._choose(x, y, held, f.num_classes)
        weights = self._fit(x, y, f.num_classes, l2, start)
        scores = _scores(weights, f.test)

        def measure(rows: Rows) -> dict[str, float]:
            found = MEASURES[self.score](scores[rows], test[rows])
            return {self.score: found, "val": score, "l2": l2}

        return outcome(f.test_index, measure)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "solver": lbfgs.CONDITIONED,
            "classifier": "a sigmoid a class" if self.several else "softmax",
            "score": self.score,
            "l2": list(self.l2),
            "coarse": self.coarse,
            "held_out": self.held_out,
            "max_iterations": self.max_iterations,
            "features": "standardised by what is fitted",
        }

    def _parts(self, f: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All features and labels but those of test, and which rows are validation."""
        x, y = f.train, f.train_labels
        if f.val is not None and f.val_labels is not None:
            x, y = np.concatenate([x, f.val]), np.concatenate([y, f.val_labels])
            held = np.arange(len(x)) >= len(f.train)
        else:
            count = self.held_out * (len(x) if self.held_out < 1 else 1)
            held = np.zeros(len(x), bool)
            order = np.random.default_rng(0).permutation(len(x))
            held[order[: max(1, round(count))]] = True
        if held.all():
            raise ValueError(
                f"{held.sum()} validation images are all of the {len(x)} that train "
                "has. Hold out fewer."
            )
        return x, signs(y, f.num_classes) if self.several else y, held

    def _choose(
        self, x: np.ndarray, y: np.ndarray, held: np.ndarray, classes: int
    ) -> tuple[float, float, np.ndarray]:
        """The penalty that is best on the validation images, its score and weights."""
        fit_x, fit_y, val_x, val_y = x[~held], y[~held], x[held], y[held]
        # The strongest first: where several do as well it is taken.
        grid = sorted(self.l2, reverse=True)
        found: dict[int, float] = {}
        fitted: dict[int, np.ndarray] = {}

        def attempt(i: int) -> None:
            near = min(fitted, key=lambda j: abs(j - i), default=None)
            start = None if near is None else fitted[near]
            fitted[i] = self._fit(fit_x, fit_y, classes, grid[i], start)
            found[i] = MEASURES[self.score](_scores(fitted[i], val_x), val_y)

        def best() -> int:
            return max(found, key=lambda i: (found[i], -i))

        step = min(self.coarse, len(grid))
        for i in range(0, len(grid), step):
            attempt(i)
        while step > 1:
            step = (step + 1) // 2
            at = best()
            for i in (at - step, at + step):
                if 0 <= i < len(grid) and i not in found:
                    attempt(i)
        return grid[best()], found[best()], fitted[best()]

    def _fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        classes: int,
        l2: float,
        start: np.ndarray | None,
    ) -> np.ndarray:
        """Weights for features as they are, found on standardised ones."""
        mean = x.mean(axis=0, dtype=np.float64)
        std = x.std(axis=0, dtype=np.float64)
        scale = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0)
        inputs = ((x - mean) * scale).astype(np.float32)
        first = None if start is None else _standard(start, mean, std)
        penalty = l2 / len(x)
        if self.several:
            found = fit_sigmoids(inputs, y, penalty, self.max_iterations, first)
        else:
            found = fit_logistic(
                inputs, y, classes, penalty, self.max_iterations, first
            )
        kernel = found[:-1] * scale[:, None]
        return np.concatenate([kernel, (found[-1] - mean @ kernel)[None]])


def _standard(weights: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """What weights are on standardised features."""
    kernel = weights[:-1]
    bias = weights[-1] + mean @ kernel
    return np.concatenate([kernel * std[:, None], bias[None]])


def _scores(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return x @ weights[:-1] + weights[-1]
