"""Losses against a queue of past keys, the same on every replica."""

import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.losses import _rows, streamed


def info_nce(
    query: tf.Tensor,
    positive_key: tf.Tensor,
    negative_keys: tf.Tensor,
    temperature: float = 0.07,
    chunk: int | None = None,
) -> tf.Tensor:
    """Tells a query's key from those of a queue (MoCo, eq. 1).

    Keys of other images in the batch are not negatives.

    Args:
        query: `(n, d)` projections of the online branch.
        positive_key: `(n, d)` projections of the target branch, aligned with
            `query`; no gradient flows to them.
        negative_keys: `(k, d)` queue of rows of length 1; no gradient either.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        chunk: Keys of the queue that the queries are compared with at a time, so that
            no more than `n * chunk` logits are held; None for all at once.

    Returns:
        Scalar: the mean over the `n` local rows; `log(k + 1)` is chance.

    Raises:
        ValueError: If the shapes do not fit or `temperature` or `chunk` is not
            positive.
    """
    given = (query, positive_key, negative_keys)
    return info_nce_with_accuracy(*given, temperature, chunk)["loss"]


def info_nce_accuracy(
    query: tf.Tensor,
    positive_key: tf.Tensor,
    negative_keys: tf.Tensor,
    chunk: int | None = None,
) -> tf.Tensor:
    """Share of queries nearer to their key than to any of the queue.

    Args:
        query: As for `info_nce`.
        positive_key: As for `info_nce`.
        negative_keys: As for `info_nce`.
        chunk: As for `info_nce`.

    Returns:
        Scalar in [0, 1] over the local rows, without gradient; chance is one in
        `k + 1`.

    Raises:
        ValueError: If the shapes do not fit or `chunk` is not positive.
    """
    given = (query, positive_key, negative_keys)
    return info_nce_with_accuracy(*given, 1.0, chunk)["accuracy"]


def info_nce_with_accuracy(
    query: tf.Tensor,
    positive_key: tf.Tensor,
    negative_keys: tf.Tensor,
    temperature: float = 0.07,
    chunk: int | None = None,
) -> dict[str, tf.Tensor]:
    """`info_nce` and `info_nce_accuracy` from the same logits, which are made once.

    Args:
        query: As for `info_nce`.
        positive_key: As for `info_nce`.
        negative_keys: As for `info_nce`.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        chunk: As for `info_nce`.

    Returns:
        Scalars `loss` and, without gradient, `accuracy`.

    Raises:
        ValueError: If the shapes do not fit or `temperature` or `chunk` is not
            positive.
    """
    checks.positive(temperature=temperature)
    checks.rank(2, query=query)
    checks.same_shape(query=query, positive_key=positive_key)
    return _against(query, positive_key, negative_keys, temperature, chunk)


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
    query, keys = (tf.reshape(x, [-1, x.shape[-1]]) for x in (q_grid, keys))
    return _against(query, keys, negative_keys, temperature)["loss"]


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
    losses, _ = _rows.in_batch(neighbours / temperature, _rows.unit(predictions))
    return tf.reduce_mean(losses)


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
    key = tf.stop_gradient(_rows.unit(key)) / teacher_temperature
    student = _rows.unit(query) / student_temperature
    return tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(tf.matmul(key, queue, transpose_b=True)),
            tf.matmul(student, queue, transpose_b=True),
        )
    )


def _against(
    query: tf.Tensor,
    key: tf.Tensor,
    negative_keys: tf.Tensor,
    temperature: float,
    chunk: int | None = None,
) -> dict[str, tf.Tensor]:
    """Loss and accuracy of `(n, d)` queries whose keys are told from a queue's."""
    checks.rank(2, negative_keys=negative_keys)
    checks.same_width(query=query, negative_keys=negative_keys)
    # Rows are narrow: dividing the logits would copy them.
    query = _rows.unit(query) / temperature
    right = tf.reduce_sum(query * _rows.unit(tf.stop_gradient(key)), axis=-1)
    others = streamed.compare(
        query, _rows.constant(negative_keys), chunk=chunk, fixed=True
    )
    return {
        "loss": tf.reduce_mean(tf.nn.softplus(others["log_sum"] - right)),
        "accuracy": _rows.share(right >= others["largest"]),
    }
