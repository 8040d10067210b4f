"""Losses over scores with prototypes."""

from collections.abc import Sequence

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _crops, _rows
from keras_ssl.losses.transport import sinkhorn

# A prototype that nothing uses has no logarithm.
_TINY = 1e-30


def swav(
    scores1: tf.Tensor,
    scores2: tf.Tensor,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    num_iters: int = 3,
) -> tf.Tensor:
    """Predicts each view's assignments from the other (SwAV, eq. 1).

    The mean of both directions, as in facebookresearch/swav main_swav.py; the paper
    writes their sum.

    Args:
        scores1: `(n, k)` cosines of the first view's projections with prototypes.
        scores2: `(n, k)` of the second view, aligned with `scores1`.
        temperature: Positive divisor of the scores that predict. Lower is sharper.
        epsilon: As for `sinkhorn`.
        num_iters: As for `sinkhorn`.

    Returns:
        Scalar: the mean over the `n` local rows; `log(k)` is chance.

    Raises:
        ValueError: If the shapes differ or a number is not positive.
    """
    checks.rank(2, scores1=scores1)
    checks.same_shape(scores1=scores1, scores2=scores2)
    both = tf.stack([scores1, scores2])
    return swav_multicrop(both, (0, 1), temperature, epsilon, num_iters)


def swav_multicrop(
    scores: tf.Tensor,
    assign_crops: Sequence[int] = (0, 1),
    temperature: float = 0.1,
    epsilon: float = 0.05,
    num_iters: int = 3,
) -> tf.Tensor:
    """Predicts the assignments of some crops from all others (SwAV, section 3.2).

    Args:
        scores: `(v, n, k)` cosines of `v` crops' projections with prototypes.
        assign_crops: The crops that are assigned, each on its own.
        temperature: Positive divisor of the scores that predict. Lower is sharper.
        epsilon: As for `sinkhorn`.
        num_iters: As for `sinkhorn`.

    Returns:
        Scalar: the mean over local rows and pairs of crops; `log(k)` is chance.

    Raises:
        ValueError: If the shapes do not fit, a crop does not exist or a number is not
            positive.
    """
    checks.rank(3, scores=scores)
    checks.crops(scores.shape[0], assign_crops)
    chosen = tf.gather(tf.stop_gradient(scores), list(assign_crops))
    assignments = sinkhorn(chosen, epsilon, num_iters)
    return swapped_prediction(scores, assignments, assign_crops, temperature)


def swapped_prediction(
    scores: tf.Tensor,
    assignments: tf.Tensor,
    assign_crops: Sequence[int] = (0, 1),
    temperature: float = 0.1,
) -> tf.Tensor:
    """`swav_multicrop` for assignments that are there, such as those with a queue.

    Args:
        scores: `(v, n, k)` cosines of `v` crops' projections with prototypes.
        assignments: `(a, n, k)` of the assigned crops; no gradient flows to them.
        assign_crops: The `a` assigned crops.
        temperature: Positive divisor of the scores. Lower is sharper.

    Returns:
        Scalar: the mean over local rows and pairs of crops; `log(k)` is chance.

    Raises:
        ValueError: If the shapes do not fit, a crop does not exist or `temperature`
            is not positive.
    """
    checks.positive(temperature=temperature)
    logits = tf.cast(scores, tf.float32) / temperature
    return _crops.across(_rows.constant(assignments), logits, assign_crops)


def deepcluster_v2(
    scores: tf.Tensor, assignments: tf.Tensor, temperature: float = 0.1
) -> tf.Tensor:
    """Cross entropy of telling a row's cluster (DeepCluster-v2).

    Args:
        scores: `(n, k)` cosines of projections with centroids.
        assignments: `(n,)` integers, each row's cluster; rows with a negative one,
            not clustered yet, are left out.
        temperature: Positive divisor of the scores. Lower is sharper.

    Returns:
        Scalar: the mean over the rows of the global batch that have a cluster, 0 if
        none has; `log(k)` is chance.

    Raises:
        ValueError: If the shapes do not fit or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, scores=scores)
    checks.rank(1, assignments=assignments)
    checks.same_rows(scores=scores, assignments=assignments)
    known = tf.cast(assignments >= 0, tf.float32)
    errors = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.maximum(assignments, 0), tf.cast(scores, tf.float32) / temperature
    )
    # Replicas may know different numbers of rows: the mean is that of all.
    rows = distribute.mean(tf.reduce_sum(known))
    return tf.math.divide_no_nan(tf.reduce_sum(errors * known), rows)


def msn(
    anchors: tf.Tensor,
    targets: tf.Tensor,
    prototypes: tf.Tensor,
    temperature: float = 0.1,
    sharpen_temperature: float = 0.25,
    me_max_weight: float = 1.0,
    use_sinkhorn: bool = False,
) -> dict[str, tf.Tensor]:
    """Matches masked views' assignments with a target's (MSN, eq. 1).

    As in facebookresearch/msn src/losses.py, `me_max` is `log(p)` less the entropy of
    the mean assignment, where the paper has only the latter.

    Args:
        anchors: `(v * n, d)` online projections of `v` masked views, view by view.
        targets: `(n, d)` target projections; no gradient flows to them.
        prototypes: `(p, d)` learned, with a gradient through the anchors only.
        temperature: Positive divisor of all cosines. Lower is sharper.
        sharpen_temperature: Positive; the targets' probabilities are raised to its
            inverse.
        me_max_weight: Weight of `me_max`, not negative.
        use_sinkhorn: Whether `sinkhorn` balances the sharpened targets.

    Returns:
        Scalars `loss`, the weighted sum; `cross_entropy`, the mean over the local
        anchors; and `me_max`, at least 0, of the mean over the global batch.

    Raises:
        ValueError: If the shapes do not fit or a number is out of range.
    """
    checks.positive(temperature=temperature, sharpen_temperature=sharpen_temperature)
    checks.not_negative(me_max_weight=me_max_weight)
    checks.rank(2, anchors=anchors, targets=targets, prototypes=prototypes)
    checks.same_width(anchors=anchors, targets=targets, prototypes=prototypes)
    rows, given = targets.shape[0], anchors.shape[0]
    if rows and given is not None and (given % rows or not given):
        raise ValueError(
            "anchors must be whole views of the targets' images, got "
            f"{anchors.shape} for targets of {targets.shape}."
        )
    directions = _rows.unit(prototypes)
    logits = tf.matmul(_rows.unit(anchors), directions, transpose_b=True) / temperature
    goal = tf.matmul(_rows.unit(targets), directions, transpose_b=True) / temperature
    # Raising probabilities to a power and normalising them divides their logits.
    log_goal = tf.nn.log_softmax(tf.stop_gradient(goal) / sharpen_temperature)
    goal = sinkhorn(log_goal, 1.0) if use_sinkhorn else tf.exp(log_goal)

    log_p = tf.nn.log_softmax(logits)
    by_view = tf.reshape(log_p, [-1, tf.shape(goal)[0], tf.shape(goal)[1]])
    cross_entropy = -tf.reduce_mean(tf.reduce_sum(goal * by_view, axis=-1))
    mean = distribute.mean(tf.reduce_mean(tf.exp(log_p), axis=0))
    entropy = -tf.reduce_sum(mean * tf.math.log(tf.maximum(mean, _TINY)))
    me_max = tf.math.log(tf.cast(tf.shape(mean)[0], tf.float32)) - entropy
    loss = cross_entropy + me_max_weight * me_max
    return {"loss": loss, "cross_entropy": cross_entropy, "me_max": me_max}
