"""Losses against a queue of past keys, the same on every replica."""

import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.losses import _rows


def info_nce(
    query: tf.Tensor,
    positive_key: tf.Tensor,
    negative_keys: tf.Tensor,
    temperature: float = 0.07,
) -> tf.Tensor:
    """Tells a query's key from those of a queue (MoCo, eq. 1).

    Keys of other images in the batch are not negatives.

    Args:
        query: `(n, d)` projections of the online branch.
        positive_key: `(n, d)` projections of the target branch, aligned with
            `query`; no gradient flows to them.
        negative_keys: `(k, d)` queue of rows of length 1; no gradient either.
        temperature: Positive divisor of the cosine logits. Lower is sharper.

    Returns:
        Scalar: the mean over the `n` local rows; `log(k + 1)` is chance.

    Raises:
        ValueError: If the shapes do not fit or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    logits = _info_nce_logits(query, positive_key, negative_keys)
    return _first_wins(logits / temperature)


def info_nce_accuracy(
    query: tf.Tensor, positive_key: tf.Tensor, negative_keys: tf.Tensor
) -> tf.Tensor:
    """Share of queries nearer to their key than to any of the queue.

    Args:
        query: As for `info_nce`.
        positive_key: As for `info_nce`.
        negative_keys: As for `info_nce`.

    Returns:
        Scalar in [0, 1] over the local rows, without gradient; chance is one in
        `k + 1`.

    Raises:
        ValueError: If the shapes do not fit.
    """
    logits = _info_nce_logits(query, positive_key, negative_keys)
    return _rows.accuracy(logits, tf.zeros(tf.shape(logits)[:-1], tf.int32))


def densecl(
    q_grid: tf.Tensor,
    k_grid: tf.Tensor,
    q_backbone: tf.Tensor,
    k_backbone: tf.Tensor,
    negative_keys: tf.Tensor,
    temperature: float = 0.2,
) -> tf.Tensor:
    """InfoNCE for every position of a map (DenseCL, eq. 2).

    A position's positive is the key at that position of the same image's other view
    whose encoder features are nearest to its own.

    Args:
        q_grid: `(n, s, d)` dense projections of the online branch, `s` positions.
        k_grid: `(n, s, d)` dense projections of the target branch. To these and all
            that follow no gradient flows.
        q_backbone: `(n, s, c)` maps of the online encoder.
        k_backbone: `(n, s, c)` maps of the target encoder.
        negative_keys: `(k, d)` queue of rows of length 1.
        temperature: Positive divisor of the cosine logits. Lower is sharper.

    Returns:
        Scalar: the mean over the `n * s` local positions; `log(k + 1)` is chance.

    Raises:
        ValueError: If the shapes do not fit or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(3, q_grid=q_grid, q_backbone=q_backbone)
    checks.same_shape(q_grid=q_grid, k_grid=k_grid)
    checks.same_shape(q_backbone=q_backbone, k_backbone=k_backbone)
    checks.same_leading(2, q_grid=q_grid, q_backbone=q_backbone)
    near = tf.einsum("nsc,ntc->nst", _rows.unit(q_backbone), _rows.unit(k_backbone))
    match = tf.argmax(near, axis=-1, output_type=tf.int32)
    keys = tf.gather(tf.stop_gradient(k_grid), match, batch_dims=1)
    return _first_wins(_logits(q_grid, keys, negative_keys) / temperature)


def nnclr(
    projections: tf.Tensor,
    predictions: tf.Tensor,
    queue: tf.Tensor,
    temperature: float = 0.1,
) -> tf.Tensor:
    """Contrasts each row's nearest neighbour with predictions (NNCLR, eq. 3).

    One direction: the method's loss is the mean over both. As in
    vturrisi/solo-learn solo/losses/nnclr.py, without the paper's second term, whose
    softmax runs over the neighbours.

    Args:
        projections: `(n, d)` of one view, which are looked up; no gradient.
        predictions: `(n, d)` of the other view, aligned with them.
        queue: `(k, d)` past projections, rows of length 1; no gradient.
        temperature: Positive divisor of the cosine logits. Lower is sharper.

    Returns:
        Scalar: the mean over the `n` local rows, each against all `replicas * n`
        predictions; `log(replicas * n)` is chance.

    Raises:
        ValueError: If the shapes do not fit or `temperature` is not positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, projections=projections, queue=queue)
    checks.same_shape(projections=projections, predictions=predictions)
    checks.same_width(projections=projections, queue=queue)
    queue = _rows.constant(queue)
    near = tf.matmul(_rows.unit(projections), queue, transpose_b=True)
    neighbours = tf.gather(queue, tf.argmax(near, axis=-1, output_type=tf.int32))
    logits, labels = _rows.in_batch(neighbours, _rows.unit(predictions))
    return _rows.matching(logits / temperature, labels)


def ressl(
    query: tf.Tensor,
    key: tf.Tensor,
    queue: tf.Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> tf.Tensor:
    """Makes a query relate to a queue as its key does (ReSSL, eq. 4).

    The key is not among those compared with.

    Args:
        query: `(n, d)` projections of the online branch (student, strong view).
        key: `(n, d)` projections of the target branch (teacher, weak view); no
            gradient flows to them.
        queue: `(k, d)` past keys, rows of length 1; no gradient either.
        student_temperature: Positive divisor of the query's cosines.
        teacher_temperature: Positive divisor of the key's cosines, the lower one.

    Returns:
        Scalar: mean cross entropy over the `n` local rows.

    Raises:
        ValueError: If the shapes do not fit or a temperature is not positive.
    """
    checks.positive(
        student_temperature=student_temperature,
        teacher_temperature=teacher_temperature,
    )
    checks.rank(2, query=query, queue=queue)
    checks.same_shape(query=query, key=key)
    checks.same_width(query=query, queue=queue)
    queue = _rows.constant(queue)
    key = tf.stop_gradient(_rows.unit(key))
    student = tf.matmul(_rows.unit(query), queue, transpose_b=True)
    teacher = tf.matmul(key, queue, transpose_b=True)
    return tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(teacher / teacher_temperature),
            student / student_temperature,
        )
    )


def _info_nce_logits(
    query: tf.Tensor, positive_key: tf.Tensor, negative_keys: tf.Tensor
) -> tf.Tensor:
    """`(n, 1 + k)` cosines, that of the right key first."""
    checks.rank(2, query=query)
    checks.same_shape(query=query, positive_key=positive_key)
    return _logits(query, tf.stop_gradient(positive_key), negative_keys)


def _logits(query: tf.Tensor, key: tf.Tensor, negative_keys: tf.Tensor) -> tf.Tensor:
    """`(..., 1 + k)` cosines of `(..., d)` queries, that of the right key first."""
    checks.rank(2, negative_keys=negative_keys)
    checks.same_width(query=query, negative_keys=negative_keys)
    query = _rows.unit(query)
    right = tf.reduce_sum(query * _rows.unit(key), axis=-1, keepdims=True)
    others = tf.einsum("...d,kd->...k", query, _rows.constant(negative_keys))
    return tf.concat([right, others], axis=-1)


def _first_wins(logits: tf.Tensor) -> tf.Tensor:
    return _rows.matching(logits, tf.zeros(tf.shape(logits)[:-1], tf.int32))
