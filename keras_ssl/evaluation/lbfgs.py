"""L-BFGS over a matrix of weights, as all probes in closed terms use it."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import optimize


def minimize(
    loss_and_gradient: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    shape: tuple[int, int],
    start: np.ndarray | None = None,
    max_iterations: int = 100,
    history: int = 10,
) -> np.ndarray:
    """Finds the weights of the least loss.

    Args:
        loss_and_gradient: Maps float32 weights to the loss, a scalar best summed in
            float64 since the line search compares values that hardly differ, and its
            gradient.
        shape: Of the weights.
        start: Weights to start from; zeros if None.
        max_iterations: Bound on the iterations.
        history: Gradients that are remembered.

    Returns:
        The weights, float32.
    """

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = tf.constant(flat.reshape(shape), tf.float32)
        loss, gradient = loss_and_gradient(weights)
        return float(loss), gradient.numpy().astype(np.float64).ravel()

    first = np.zeros(shape) if start is None else start
    solution = optimize.minimize(
        function,
        first.ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations, "gtol": 1e-5, "maxcor": history},
    )
    return solution.x.reshape(shape).astype(np.float32)
