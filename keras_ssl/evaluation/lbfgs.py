"""L-BFGS over a matrix of weights, as all probes in closed terms use it."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import linalg, optimize

# What a protocol calls it where the search is made in coordinates of `Condition`.
CONDITIONED = "L-BFGS, preconditioned"
# Rows that tell how features vary together: so many, or so many times their number.
_ROWS, _TIMES = 8192, 4
# Of wider features the matrix takes more than it saves.
_WIDEST = 4096
# Gradients that are remembered.
_HISTORY = 10
# What keeps it invertible, as a share of the features' mean square.
_LEAST = 1e-7


class Condition:
    """Coordinates in which a penalised loss is curved alike in all directions.

    Features of encoders are correlated, so that some directions hardly change the loss
    and L-BFGS takes hundreds of iterations to find its way along them. Here the kernel
    is `root @ v`, where `root @ root^T` is about the inverse of the loss's second
    derivative at zero weights: `curvature * x^T x / n + l2`.

    Args:
        x: `(n, d)` float32 features, standardised.
        l2: Strength of the penalty on the kernel.
        curvature: Of the loss by a logit, at zero weights.
    """

    def __init__(self, x: np.ndarray, l2: float, curvature: float) -> None:
        self._root: tf.Tensor | None = None
        if x.shape[1] > _WIDEST:
            return
        step = max(1, len(x) // max(_ROWS, _TIMES * x.shape[1]))
        sample = tf.constant(x[::step])
        square = tf.matmul(sample, sample, transpose_a=True).numpy().astype(np.float64)
        square *= curvature / len(sample)
        places = np.diag_indices(len(square))
        square[places] += (
            l2 + _LEAST * square[places].mean() + np.finfo(np.float32).tiny
        )
        self._lower = linalg.cholesky(square, lower=True, overwrite_a=True)
        inverse = linalg.solve_triangular(self._lower, np.eye(len(square)), lower=True)
        self._root = tf.constant(inverse.T, tf.float32)

    def enter(self, weights: np.ndarray) -> np.ndarray:
        """The coordinates `(d + 1, c)` of weights; the last row stays as it is."""
        if self._root is None:
            return weights
        return np.concatenate([self._lower.T @ weights[:-1], weights[-1:]])

    def leave(self, coordinates: tf.Tensor) -> tf.Tensor:
        """The weights of coordinates."""
        return self._times(coordinates, transposed=False)

    def slope(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient by the coordinates, of that by the weights."""
        return self._times(gradient, transposed=True)

    def _times(self, x: tf.Tensor, transposed: bool) -> tf.Tensor:
        if self._root is None:
            return x
        kernel = tf.matmul(self._root, x[:-1], transpose_a=transposed)
        return tf.concat([kernel, x[-1:]], axis=0)


def minimize(
    loss_and_gradient: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    shape: tuple[int, int],
    condition: Condition,
    start: np.ndarray | None = None,
    max_iterations: int = 100,
) -> np.ndarray:
    """Finds the weights of the least loss.

    Args:
        loss_and_gradient: Maps float32 weights to the loss, a scalar best summed in
            float64 since the line search compares values that hardly differ, and its
            gradient.
        shape: Of the weights.
        condition: Coordinates to search in.
        start: Weights to start from; zeros if None.
        max_iterations: Bound on the iterations.

    Returns:
        The weights, float32.
    """

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = condition.leave(tf.constant(flat.reshape(shape), tf.float32))
        loss, gradient = loss_and_gradient(weights)
        gradient = condition.slope(gradient)
        return float(loss), gradient.numpy().astype(np.float64).ravel()

    first = np.zeros(shape) if start is None else condition.enter(start)
    solution = optimize.minimize(
        function,
        first.ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations, "gtol": 1e-5, "maxcor": _HISTORY},
    )
    found = solution.x.reshape(shape).astype(np.float32)
    return condition.leave(tf.constant(found)).numpy()
