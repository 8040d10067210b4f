"""Losses that compare a view with other images' views."""

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.losses import _rows, streamed


def nt_xent(
    z1: tf.Tensor,
    z2: tf.Tensor,
    temperature: float = 0.1,
    negative_keys: tf.Tensor | None = None,
    chunk: int | None = None,
) -> tf.Tensor:
    """Normalised-temperature cross entropy between two views (SimCLR, eq. 1).

    The mean over `2 * n` rows of the paper's Algorithm 1; the sum of two means in
    google-research/simclr tf2/objective.py is exactly twice as large.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        negative_keys: `(k, d)` further negatives of every row, such as a queue
            (SimCLRv2), rows of length 1; no gradient flows to them.
        chunk: Candidates that the rows are compared with at a time, so that no more
            than `2 * n * chunk` logits are held, such as 2048 (docs/performance.md);
            None for all at once, which is faster.

    Returns:
        Scalar: mean over the `2 * n` local rows, each against all
        `2 * replicas * n - 1` candidates, and the `k`.

    Raises:
        ValueError: If `temperature` or `chunk` is not positive or the shapes differ.
    """
    losses, _ = _nt_xent(z1, z2, temperature, negative_keys, chunk, accuracy=False)
    return tf.reduce_mean(losses)


def nt_xent_accuracy(
    z1: tf.Tensor,
    z2: tf.Tensor,
    negative_keys: tf.Tensor | None = None,
    chunk: int | None = None,
) -> tf.Tensor:
    """Share of rows whose nearest candidate is the other view of the same image.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        negative_keys: As for `nt_xent`.
        chunk: As for `nt_xent`.

    Returns:
        Scalar in [0, 1], over the `2 * n` local rows, without gradient; chance is one
        in `2 * replicas * n - 1`, plus the number of `negative_keys`.

    Raises:
        ValueError: If the shapes differ or `chunk` is not positive.
    """
    return _rows.share(_nt_xent(z1, z2, 1.0, negative_keys, chunk, accuracy=True)[1])


def nt_xent_with_accuracy(
    z1: tf.Tensor,
    z2: tf.Tensor,
    temperature: float = 0.1,
    negative_keys: tf.Tensor | None = None,
    chunk: int | None = None,
) -> dict[str, tf.Tensor]:
    """`nt_xent` and `nt_xent_accuracy` from the same logits, which are made once.

    Args:
        z1: `(n, d)` projections of the first view, one row per image.
        z2: `(n, d)` projections of the second view, aligned with `z1`.
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        negative_keys: As for `nt_xent`.
        chunk: As for `nt_xent`.

    Returns:
        Scalars `loss` and, without gradient, `accuracy`.

    Raises:
        ValueError: If `temperature` or `chunk` is not positive or the shapes differ.
    """
    losses, hits = _nt_xent(z1, z2, temperature, negative_keys, chunk, accuracy=True)
    return {"loss": tf.reduce_mean(losses), "accuracy": _rows.share(hits)}


def _nt_xent(
    z1: tf.Tensor,
    z2: tf.Tensor,
    temperature: float,
    negative_keys: tf.Tensor | None,
    chunk: int | None,
    accuracy: bool,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """`(2n,)` each: cross entropies, and whether the nearest candidate is right."""
    checks.positive(temperature=temperature)
    checks.same_shape(z1=z1, z2=z2)
    z1, z2 = _rows.unit(z1), _rows.unit(z2)
    # One gather for both views: collectives cost latency more than bytes.
    both = distribute.gather(tf.stack([z1, z2], axis=1))
    count = tf.shape(both)[0]
    candidates = tf.concat([both[:, 0], both[:, 1]], axis=0)
    # Rows are narrow: dividing the logits would copy them.
    rows = tf.concat([z1, z2], axis=0) / temperature
    mine = _rows.numbers(z1)
    right = tf.concat([mine + count, mine], axis=0)
    found = streamed.compare(
        rows,
        candidates,
        right,
        excluded=tf.concat([mine, mine + count], axis=0),
        chunk=chunk,
        nearest=accuracy,
    )
    hits = found["nearest"] == right if accuracy else None
    log_sum = found["log_sum"]
    if negative_keys is not None:
        checks.rank(2, negative_keys=negative_keys)
        checks.same_width(z1=z1, negative_keys=negative_keys)
        keys = _rows.constant(negative_keys)
        others = streamed.compare(rows, keys, chunk=chunk, fixed=True)
        log_sum = _rows.log_add(log_sum, others["log_sum"])
        if hits is not None:
            hits &= found["largest"] >= others["largest"]
    return log_sum - found["own"], hits
