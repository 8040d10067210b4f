"""Noise-contrastive estimation: https://arxiv.org/abs/1805.01978."""

import tensorflow as tf

from keras_ssl.core import checks

# As zhirongw/lemniscate.pytorch lib/NCECriterion.py; the paper has none.
_EPSILON = 1e-7
# A probability of 0 has no logarithm.
_TINY = 1e-30


def nce(
    pos_scores: tf.Tensor,
    noise_scores: tf.Tensor,
    num_instances: int,
    num_noise: int,
) -> tf.Tensor:
    """Tells an instance's own probability from noise (InstDisc, eq. 6 and 7).

    The scores are the model's probabilities `exp(cosine / temperature) / Z`, not
    logits; the noise is drawn uniformly from all instances.

    Args:
        pos_scores: `(n,)` probabilities of the right instances.
        noise_scores: `(n, num_noise)` probabilities of the noise instances.
        num_instances: Positive number of instances.
        num_noise: Positive number of noise instances to a row.

    Returns:
        Scalar: the sum over a row's noise, the mean over the `n` local rows.

    Raises:
        ValueError: If the shapes do not fit or a number is not positive.
    """
    checks.positive(num_instances=num_instances, num_noise=num_noise)
    checks.rank(1, pos_scores=pos_scores)
    checks.rank(2, noise_scores=noise_scores)
    checks.same_rows(pos_scores=pos_scores, noise_scores=noise_scores)
    if noise_scores.shape[1] not in (num_noise, None):
        raise ValueError(
            f"noise_scores must be (n, num_noise) = (n, {num_noise}), got "
            f"{noise_scores.shape}."
        )
    positive = tf.maximum(tf.cast(pos_scores, tf.float32), _TINY)
    noise = tf.cast(noise_scores, tf.float32)
    chance = num_noise / num_instances
    right = tf.math.log(positive / (positive + chance + _EPSILON))
    wrong = tf.math.log(chance / (noise + chance + _EPSILON))
    return -tf.reduce_mean(right + tf.reduce_sum(wrong, axis=-1))
