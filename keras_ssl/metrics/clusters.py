"""What clusters and prototypes look like: how sure, how stable, which images."""

import tensorflow as tf


def mean_entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Entropy of distributions, averaged.

    Args:
        probabilities: `(..., k)`, each row adding up to 1.

    Returns:
        Scalar in [0, log(k)], nats, without gradient: 0 where all rows are certain.
    """
    p = tf.stop_gradient(tf.cast(probabilities, tf.float32))
    # 0 * log(0) is 0, and needs no logarithm.
    return -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(p, p), axis=-1))


def information(probabilities: tf.Tensor) -> tf.Tensor:
    """What distributions tell of which example they belong to.

    The entropy of their mean less their mean entropy: 0 if all are the same, be that
    uniform or one class for all, which are both kinds of collapse of DINO.

    Args:
        probabilities: `(n, k)`, each row adding up to 1.

    Returns:
        Scalar in [0, log(min(n, k))], nats, without gradient.
    """
    p = tf.stop_gradient(tf.cast(probabilities, tf.float32))
    both = mean_entropy(tf.reduce_mean(p, axis=0)[None]) - mean_entropy(p)
    # Rounding may leave less than nothing.
    return tf.maximum(both, 0.0)


def normalized_mutual_information(
    first: tf.Tensor, second: tf.Tensor, count: int
) -> tf.Tensor:
    """How far two partitions of the same examples agree, whatever their numbering.

    The mutual information over the mean of both entropies, as DeepCluster compares
    the clusters of two epochs (https://arxiv.org/abs/1807.05520, section 4.1).

    Args:
        first: `(n,)` integers in [0, count), each example's cluster.
        second: The same in the other partition.
        count: Number of clusters of each.

    Returns:
        Scalar in [0, 1]; 1 where they are the same, 0 if neither tells anything.
    """
    pairs = tf.cast(first, tf.int32) * count + tf.cast(second, tf.int32)
    ones = tf.ones_like(pairs, tf.float32)
    joint = tf.math.unsorted_segment_sum(ones, pairs, count * count)
    joint = tf.reshape(joint, [count, count]) / tf.reduce_sum(ones)

    def entropy(p: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(tf.math.xlogy(p, p))

    parts = entropy(tf.reduce_sum(joint, 0)) + entropy(tf.reduce_sum(joint, 1))
    shared = parts - entropy(joint)
    return tf.clip_by_value(tf.math.divide_no_nan(2.0 * shared, parts), 0.0, 1.0)


def nearest_images(
    scores: tf.Tensor, images: tf.Tensor, prototypes: int = 8, each: int = 8
) -> dict[str, tf.Tensor]:
    """The images nearest to each of the prototypes that are preferred most.

    For eager use: names say which prototypes they are.

    Args:
        scores: `(n, k)` of images with prototypes.
        images: `(n, h, w, 3)`.
        prototypes: How many prototypes, at most; those that no image prefers to all
            others are left out.
        each: Images of each, at most.

    Returns:
        `(each, h, w, 3)` for each prototype, nearest first, most preferred prototype
        first.
    """
    count = scores.shape[1]
    used = tf.math.bincount(
        tf.argmax(scores, axis=1, output_type=tf.int32), None, count
    )
    votes, chosen = (x.numpy() for x in tf.math.top_k(used, min(prototypes, count)))
    nearest = tf.math.top_k(tf.transpose(scores), min(each, scores.shape[0])).indices
    return {
        f"prototype {prototype}": tf.gather(images, nearest[prototype])
        for prototype, vote in zip(chosen, votes, strict=True)
        if vote > 0
    }
