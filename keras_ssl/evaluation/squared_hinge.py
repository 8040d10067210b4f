"""Linear SVMs with a squared hinge, by Newton's method on all classes at once.

The objective is a quadratic function in pieces, whose curvature is that of the rows
inside the margin (Chapelle 2007, "Training a support vector machine in the primal").
Newton's steps are found by conjugate gradients: a round is two products of the features
with a column a class. What makes rounds few is one factorisation of the curvature of
all rows together, which stands for that of any class and fold.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import linalg

# What a Newton step could still gain, as a share of the objective.
_GAIN = 1e-8
# How much of the gradient conjugate gradients leave, and rounds that they may take.
_LEFT, _ROUNDS = 0.1, 200
# The same of the slope along a step.
_SLOPE, _HALVINGS = 1e-3, 30
_TINY = np.finfo(float).tiny


class SquaredHinge:
    """Minimises `|w|^2 / 2 + sum(cost * max(0, 1 - sign * (w x + b))^2)` by class.

    The bias is penalised as another weight, as in liblinear. With fewer rows than
    columns all is done in the rows' span, where the weights are.

    Args:
        x: `(n, d)` floats.
    """

    def __init__(self, x: np.ndarray) -> None:
        inputs = np.column_stack([x, np.ones(len(x))]).astype(np.float32)
        self._span: np.ndarray | None = None
        if len(inputs) < inputs.shape[1]:
            self._span, rest = np.linalg.qr(inputs.T)
            inputs = rest.T
        # Products by TensorFlow: NumPy's threads stand in each other's way where other
        # processes work too.
        self._inputs = tf.constant(inputs)
        product = tf.matmul(self._inputs, self._inputs, transpose_a=True)
        self._curvature = product.numpy().astype(np.float64)

    def fit(
        self,
        signs: np.ndarray,
        weight: np.ndarray,
        cost: float,
        start: np.ndarray | None = None,
        rows: np.ndarray | None = None,
        max_iterations: int = 50,
    ) -> np.ndarray:
        """Finds the weights of classes that share a cost.

        Args:
            signs: `(n, c)`: 1 or -1; what has the weight 0 may have any.
            weight: `(n, c)`: factors of the cost of each example, at least 0.
            cost: Positive.
            start: A solution to start from; zeros if None.
            rows: `(n,)` booleans: what is fitted; all if None.
            max_iterations: Bound on Newton's steps.

        Returns:
            `(d + 1, c)` float32 weights, the biases in the last row.
        """
        chosen = np.arange(len(signs)) if rows is None else np.flatnonzero(rows)
        part = _Part(
            self._inputs if rows is None else tf.gather(self._inputs, chosen),
            tf.constant(signs[chosen], tf.float32),
            tf.constant(2.0 * cost * weight[chosen], tf.float32),
        )
        first = np.zeros((self._inputs.shape[1], signs.shape[1]))
        if start is not None:
            first = start if self._span is None else self._span.T @ start
        found = self._descend(part, tf.constant(first, tf.float64), max_iterations)
        whole = found if self._span is None else self._span @ found
        return whole.astype(np.float32)

    def _descend(
        self, part: "_Part", first: tf.Tensor, max_iterations: int
    ) -> np.ndarray:
        """Newton's steps, until none would gain anything."""
        point = _at(part, first)
        inverse = self._inverse(part, point)
        for _ in range(max_iterations):
            ahead = tf.matmul(inverse, point.gradient)
            gain = 0.5 * tf.reduce_sum(ahead * point.gradient, axis=0)
            if np.all(gain <= _GAIN * point.value):
                break
            moved = _moved(part, point, inverse)
            # What float32 cannot tell apart is as good.
            better = moved.value < point.value
            if not np.any(better):
                break
            point = _Point(
                *(tf.where(better, a, b) for a, b in zip(moved, point, strict=True))
            )
        return point.weights.numpy()

    def _inverse(self, part: "_Part", point: "_Point") -> tf.Tensor:
        """Of the curvature, were every row as curved as their mean."""
        curved = tf.reduce_mean(part.weight * tf.cast(point.slack > 0, tf.float32))
        whole = self._curvature * (float(curved) * len(part.inputs) / len(self._inputs))
        whole[np.diag_indices_from(whole)] += 1.0
        factor, _ = linalg.lapack.dpotrf(whole, lower=True, overwrite_a=True)
        found, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
        lower = np.tril(found)
        return tf.constant(lower + np.tril(found, -1).T)


class _Part(NamedTuple):
    """Some rows `(n, d)`, their signs `(n, c)`, and twice their costs `(n, c)`."""

    inputs: tf.Tensor
    signs: tf.Tensor
    weight: tf.Tensor


class _Point(NamedTuple):
    """Weights `(d, c)`, what margins lack `(n, c)`, values `(c,)`, gradients."""

    weights: tf.Tensor
    slack: tf.Tensor
    value: tf.Tensor
    gradient: tf.Tensor


@tf.function(autograph=False, reduce_retracing=True)
def _at(part: _Part, weights: tf.Tensor) -> _Point:
    """All that is to be known of some weights, which are float64."""
    slack = tf.nn.relu(1.0 - part.signs * _scores(part, weights))
    lost = part.weight * slack
    value = 0.5 * (_sum(lost * slack) + _sum(weights**2))
    gradient = weights - _back(part, lost * part.signs)
    return _Point(weights, slack, value, gradient)


@tf.function(autograph=False, reduce_retracing=True)
def _moved(part: _Part, point: _Point, inverse: tf.Tensor) -> _Point:
    """Where a Newton step leads."""
    step = _newton(part, point, inverse)
    return _at(part, point.weights + _length(part, point, step) * step)


def _newton(part: _Part, point: _Point, inverse: tf.Tensor) -> tf.Tensor:
    """Newton's step of each class, `(d, c)`, by conjugate gradients."""
    curved = part.weight * tf.cast(point.slack > 0, tf.float32)
    rest = -point.gradient
    way = tf.matmul(inverse, rest)
    size = _sum(rest * way)
    enough = _LEFT**2 * size

    def far(step: tf.Tensor, rest: tf.Tensor, way: tf.Tensor, size: tf.Tensor) -> Any:
        return tf.reduce_any(size > enough)

    def go(step: tf.Tensor, rest: tf.Tensor, way: tf.Tensor, size: tf.Tensor) -> Any:
        bent = way + _back(part, curved * _scores(part, way))
        # A class that has arrived goes nowhere.
        length = size / tf.maximum(_sum(way * bent), _TINY)
        step, rest = step + length * way, rest - length * bent
        ahead = tf.matmul(inverse, rest)
        new = _sum(rest * ahead)
        return step, rest, ahead + new / tf.maximum(size, _TINY) * way, new

    begun = (tf.zeros_like(rest), rest, way, size)
    return tf.while_loop(far, go, begun, maximum_iterations=_ROUNDS)[0]


def _length(part: _Part, point: _Point, step: tf.Tensor) -> tf.Tensor:
    """How far to go along a step in each class, `(c,)`: to where the slope is 0."""
    missing = 1.0 - part.signs * _scores(part, point.weights)
    change = -part.signs * _scores(part, step)
    bent = part.weight * change
    begun, curve = _sum(point.weights * step), _sum(step**2)
    enough = _SLOPE * tf.abs(_sum(point.gradient * step))

    def slope(at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slack = tf.nn.relu(missing + tf.cast(at, tf.float32) * change)
        return begun + at * curve + _sum(bent * slack), slack

    def far(at: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> Any:
        return tf.reduce_any(tf.abs(slope(at)[0]) > enough)

    def go(at: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> Any:
        """The slope rises in pieces of straight lines: Newton again, within bounds."""
        now, slack = slope(at)
        low, high = tf.where(now < 0, at, low), tf.where(now < 0, high, at)
        rise = curve + _sum(bent * tf.cast(slack > 0, tf.float32) * change)
        tried = at - now / tf.maximum(rise, _TINY)
        between = tf.where(tf.math.is_inf(high), 2 * low, (low + high) / 2)
        return tf.where((tried > low) & (tried < high), tried, between), low, high

    first = tf.ones_like(curve)
    bounds = (first, tf.zeros_like(first), np.inf * first)
    return tf.while_loop(far, go, bounds, maximum_iterations=_HALVINGS)[0]


def _scores(part: _Part, weights: tf.Tensor) -> tf.Tensor:
    return tf.matmul(part.inputs, tf.cast(weights, tf.float32))


def _back(part: _Part, x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.matmul(part.inputs, x, transpose_a=True), tf.float64)


def _sum(x: tf.Tensor) -> tf.Tensor:
    """Of each column, in float64: values that hardly differ are compared."""
    return tf.reduce_sum(tf.cast(x, tf.float64), axis=0)
