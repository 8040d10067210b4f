"""Losses in which some crops tell the others what to predict."""

from collections.abc import Sequence

import tensorflow as tf

from keras_ssl.core import checks


def across(targets: tf.Tensor, logits: tf.Tensor, telling: Sequence[int]) -> tf.Tensor:
    """Cross entropy of each telling crop's target with all other crops.

    Args:
        targets: `(t, n, k)` distributions, float32; no gradient flows to them.
        logits: `(v, n, k)` of all crops, float32, divided by their temperature.
        telling: For each target, the number of its crop in `logits`.

    Returns:
        Scalar: the mean over the local rows and the `t * (v - 1)` pairs of different
        crops.

    Raises:
        ValueError: If the shapes do not fit, there are fewer than two crops or
            `telling` does not name crops, each once.
    """
    checks.rank(3, targets=targets, logits=logits)
    if not targets.shape[1:].is_compatible_with(logits.shape[1:]):
        raise ValueError(
            f"targets are {targets.shape} and logits {logits.shape}; they must have "
            "the same images and width."
        )
    crops, telling = int(logits.shape[0]), list(telling)
    checks.crops(crops, telling)
    if int(targets.shape[0]) != len(telling):
        raise ValueError(f"{len(telling)} crops tell, got {targets.shape[0]} targets.")
    log_p = tf.nn.log_softmax(logits)
    # Linear in log p: one product with the sum over the others does for all pairs.
    others = tf.reduce_sum(log_p, axis=0) - tf.gather(log_p, telling)
    products = tf.reduce_sum(tf.stop_gradient(targets) * others, axis=-1)
    return -tf.reduce_mean(products) / (crops - 1)
