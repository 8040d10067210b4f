"""A function called several times, one call after the other and not beside it."""

from collections.abc import Callable

import tensorflow as tf

from keras_ssl.core import distribute

Tensors = list[tf.Tensor]


def in_turn(
    function: Callable[[tf.Tensor, Tensors], Tensors], count: int, carried: Tensors
) -> Tensors:
    """Calls `function(i, carried)` for each `i`; what a call returns the next gets.

    A call begins when all that the one before returned is there, so that at any time
    the memory of one call is held. It is one loop where that can be, traced once, and
    else a call is traced for each `i`: replicas meet in a loop's body only on TPUs.

    Args:
        function: Returns tensors of the same shapes and dtypes as it gets.
        count: Number of calls, at least 1.
        carried: What the first call gets.

    Returns:
        What the last call returned.
    """
    if distribute.meets_in_loops():
        _, carried = tf.while_loop(
            lambda i, _: i < count,
            lambda i, carried: (i + 1, function(i, carried)),
            (tf.constant(0), carried),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return carried
    for i in range(count):
        with tf.control_dependencies(carried):
            carried = function(tf.constant(i), carried)
    return carried
