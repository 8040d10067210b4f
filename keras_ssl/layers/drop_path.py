"""Stochastic depth: Huang et al. 2016, https://arxiv.org/abs/1603.09382."""

import tensorflow as tf

from keras_ssl.core import randomness

# Draws of a step below this one are for masks and the like.
_FIRST_STREAM = 1 << 16


def drop_path(
    branch: tf.Tensor, rate: float, seeds: tf.Tensor, stream: int
) -> tf.Tensor:
    """Drops a residual branch for some examples; the others make up for it.

    Args:
        branch: `(n, ...)` output of the branch.
        rate: Share of the examples that lose it, in [0, 1).
        seeds: `(n, 2)` int32, one for each example: the same ones lose the branch on
            any number of replicas.
        stream: Number of the branch in the network, >= 0.

    Returns:
        `branch`, with rows of zeros, the rest divided by `1 - rate`.
    """
    kept = randomness.step_uniforms(seeds, 1, _FIRST_STREAM + stream) >= rate
    factor = tf.cast(kept, branch.dtype) / (1.0 - rate)
    return branch * tf.reshape(factor, [-1] + [1] * (len(branch.shape) - 1))
