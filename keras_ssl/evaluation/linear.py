"""Linear probe: multinomial logistic regression on frozen features, by L-BFGS.

The protocol of SimCLR, appendix B.8 (https://arxiv.org/abs/2002.05709): features once,
no augmentation, the regularisation chosen on a held-out part of train.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.evaluation import lbfgs
from keras_ssl.evaluation.data import Encode, EvaluationData, Features
from keras_ssl.evaluation.per_image import Outcome, PerImage, top1


@register("evaluation", "linear")
@dataclasses.dataclass(frozen=True)
class LinearProbe(PerImage):
    """Top-1 of a linear classifier on frozen, standardised features.

    Args:
        l2: Strengths of the penalty to choose from on the held-out part, each
            positive.
        held_out: Share of train held out for that choice, in (0, 1).
        max_iterations: Bound on the L-BFGS iterations of the final fit, at least 4;
            those that choose the penalty, each from the last one's solution, get a
            quarter.

    Raises:
        ValueError: If an argument is out of range.
    """

    score: ClassVar[str] = "top1"
    l2: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4)
    held_out: float = 0.1
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if not self.l2 or min(self.l2) <= 0:
            raise ValueError(f"l2 needs positive strengths, got {self.l2}.")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out must be in (0, 1), got {self.held_out}.")
        if self.max_iterations < 4:
            raise ValueError(
                f"max_iterations must be at least 4, got {self.max_iterations}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `top1` and the chosen `l2`."""
        f = standardized(data.features(encode))
        weights, l2 = self.fit(f)
        return top1(_classes(weights, f.test), f, {"l2": l2})

    def fit(self, f: Features) -> tuple[np.ndarray, float]:
        """Chooses the penalty and fits to all of train.

        Args:
            f: Standardised features; those of test are not looked at.

        Returns:
            `(d + 1, classes)` weights, the biases in the last row, and the penalty.
        """
        fit, held = self._parts(len(f.train))
        best, start = (-1.0, 0.0), None
        # From the strongest on: each solution is a good start for the next.
        for l2 in sorted(self.l2, reverse=True):
            if not len(held):
                best = (0.0, l2)
                break
            start = fit_logistic(
                f.train[fit],
                f.train_labels[fit],
                f.num_classes,
                l2,
                self.max_iterations // 4,
                start,
            )
            score = _accuracy(start, f.train[held], f.train_labels[held])
            best = max(best, (score, l2))
        weights = fit_logistic(
            f.train, f.train_labels, f.num_classes, best[1], self.max_iterations, start
        )
        return weights, best[1]

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "solver": lbfgs.CONDITIONED,
            "l2": list(self.l2),
            "held_out": self.held_out,
            "max_iterations": self.max_iterations,
            "features": "standardised by train",
        }

    def _parts(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Fixed random rows to fit on and to choose on."""
        order = np.random.default_rng(0).permutation(count)
        held = round(self.held_out * count)
        return order[held:], order[:held]


def standardized(f: Features) -> Features:
    """Zero mean and unit variance over train; dead features become 0."""
    mean, scale = standard(f.train)
    return f._replace(train=(f.train - mean) * scale, test=(f.test - mean) * scale)


def standard(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What features are standardised by.

    Args:
        train: `(n, d)` float32.

    Returns:
        `(d,)` float32 mean, and the factor that gives unit variance; 0 of dead ones.
    """
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    std = train.std(axis=0, dtype=np.float64).astype(np.float32)
    scale = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0).astype(np.float32)
    return mean, scale


def fit_logistic(
    x: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    l2: float,
    max_iterations: int = 100,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Minimises mean cross entropy plus `l2 / 2 * |weights|^2`, biases unpenalised.

    Args:
        x: `(n, d)` float32.
        labels: `(n,)` integers.
        num_classes: Number of classes.
        l2: Strength of the penalty.
        max_iterations: Bound on the iterations.
        start: A solution to start from; zeros if None.

    Returns:
        `(d + 1, num_classes)` weights, the biases in the last row.
    """
    shape = (x.shape[1] + 1, num_classes)
    inputs, one_hot = tf.constant(x), tf.one_hot(labels, num_classes)
    penalty = tf.constant(l2, tf.float32)
    chance = 1 / num_classes
    return lbfgs.minimize(
        lambda weights: _loss_and_gradient(weights, inputs, one_hot, penalty),
        shape,
        lbfgs.Condition(x, l2, chance * (1 - chance)),
        start,
        max_iterations,
    )


@tf.function(autograph=False, reduce_retracing=True)
def _loss_and_gradient(
    weights: tf.Tensor, x: tf.Tensor, one_hot: tf.Tensor, l2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The penalised cross entropy and its gradient, in two passes over `x`."""
    kernel, bias = weights[:-1], weights[-1]
    logits = tf.matmul(x, kernel) + bias
    losses = tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
    # Summed in float64: the line search compares values that hardly differ.
    loss = tf.reduce_mean(tf.cast(losses, tf.float64))
    loss += tf.cast(0.5 * l2 * tf.reduce_sum(kernel**2), tf.float64)
    error = (tf.nn.softmax(logits) - one_hot) / tf.cast(tf.shape(x)[0], tf.float32)
    slope = tf.transpose(tf.matmul(error, x, transpose_a=True)) + l2 * kernel
    return loss, tf.concat([slope, tf.reduce_sum(error, 0)[None]], axis=0)


def _accuracy(weights: np.ndarray, x: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(_classes(weights, x) == labels))


def _classes(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.argmax(x @ weights[:-1] + weights[-1], axis=1)
