"""Softmax over many candidates, all columns at once or a few at a time.

What a comparison of rows with candidates needs of its logits are sums, not the logits.
With `chunk` only `(rows, chunk)` of them are there at once, forward and backward: sums
are kept as logarithms beside a running largest logit, and the gradient computes the
logits again, as FlashAttention does (https://arxiv.org/abs/2205.14135).
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_ssl.core import checks

# Finite, so that a row's gradient stays finite; exp(-1e9) is 0 in float32.
EXCLUDED = -1e9


def compare(
    rows: tf.Tensor,
    candidates: tf.Tensor,
    right: tf.Tensor | None = None,
    excluded: tf.Tensor | None = None,
    chunk: int | None = None,
    nearest: bool = False,
    fixed: bool = False,
) -> dict[str, tf.Tensor]:
    """What the logits `rows @ candidates.T` say of each row.

    Args:
        rows: `(r, d)`, divided by the temperature.
        candidates: `(c, d)`, such as what `distribute.gather` returns.
        right: `(r,)` integers, each row's own column, if it has any.
        excluded: `(r,)` integers, a column that each row is not compared with.
        chunk: Columns at a time; None for all.
        nearest: Whether to find the first of the largest columns.
        fixed: Whether no gradient flows to the candidates, such as a queue's.

    Returns:
        `(r,)` each: `log_sum`, the logarithm of the sum of the exponentials, and with
        `right` its logit, `own`, both with gradients to rows and candidates; without
        gradient `largest`, the largest logit, and with `nearest` its column.

    Raises:
        ValueError: If the widths differ or `chunk` is no positive integer.
    """
    checks.columns(chunk=chunk)
    checks.rank(2, rows=rows, candidates=candidates)
    checks.same_width(rows=rows, candidates=candidates)
    given = (right, excluded, nearest, fixed)

    @tf.custom_gradient
    def compared(rows: tf.Tensor, candidates: tf.Tensor) -> Any:
        # What follows is no tape's business: it would keep every chunk.
        rows, candidates = tf.stop_gradient(rows), tf.stop_gradient(candidates)
        if chunk is None:
            found, products = _held(rows, candidates, *given)
        else:
            found, products = _streamed(rows, candidates, chunk, *given)

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
            back = dict(zip(found, upstream, strict=True))
            of_rows, of_candidates = products(back["log_sum"])
            if right is not None:
                own = back["own"][:, None]
                of_rows += own * tf.gather(candidates, right)
                if of_candidates is not None:
                    of_candidates = tf.tensor_scatter_nd_add(
                        of_candidates, right[:, None], own * rows
                    )
            return of_rows, of_candidates

        return tuple(found.values()), gradient

    rows, candidates = tf.cast(rows, tf.float32), tf.cast(candidates, tf.float32)
    names = ["log_sum", "largest"]
    names += ["own"] * (right is not None) + ["nearest"] * nearest
    return dict(zip(names, compared(rows, candidates), strict=True))


def exclude(logits: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """`(r, c)` logits with one column of each row `EXCLUDED`, without a mask.

    Rows whose column is none of the `c` stay as they are.
    """
    inside = tf.clip_by_value(columns, 0, tf.shape(logits)[1] - 1)
    there = tf.gather(logits, inside, batch_dims=1)
    updates = tf.where(columns == inside, EXCLUDED, there)
    where = tf.stack([tf.range(tf.shape(columns)[0]), inside], axis=1)
    return tf.tensor_scatter_nd_update(logits, where, updates)


# Gradients of rows and candidates from that of `log_sum`.
_Products = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor | None]]


def _held(
    rows: tf.Tensor,
    candidates: tf.Tensor,
    right: tf.Tensor | None,
    excluded: tf.Tensor | None,
    nearest: bool,
    fixed: bool,
) -> tuple[dict[str, tf.Tensor], _Products]:
    """All columns at once: one matrix stays for the gradient."""
    logits = tf.matmul(rows, candidates, transpose_b=True)
    if excluded is not None:
        logits = exclude(logits, excluded)
    found = {"largest": tf.reduce_max(logits, axis=1)}
    if right is not None:
        found["own"] = tf.gather(logits, right, batch_dims=1)
    if nearest:
        found["nearest"] = tf.argmax(logits, axis=1, output_type=tf.int32)
    weights = tf.exp(logits - found["largest"][:, None])
    sums = tf.reduce_sum(weights, axis=1)

    def products(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        # Scales what is narrow, so that there is no second matrix.
        scale = (upstream / sums)[:, None]
        of_rows = scale * tf.matmul(weights, candidates)
        if fixed:
            return of_rows, None
        return of_rows, tf.matmul(weights, scale * rows, transpose_a=True)

    return {"log_sum": found["largest"] + tf.math.log(sums), **found}, products


def _streamed(
    rows: tf.Tensor,
    candidates: tf.Tensor,
    chunk: int,
    right: tf.Tensor | None,
    excluded: tf.Tensor | None,
    nearest: bool,
    fixed: bool,
) -> tuple[dict[str, tf.Tensor], _Products]:
    """A few columns at a time, twice: forward, and again for the gradient."""
    steps, chunk, part = _parts(rows, candidates, chunk, excluded)
    found = _sums(rows, steps, chunk, part, right, nearest)
    log_sum = found["largest"] + tf.math.log(found.pop("sum"))

    def products(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        scaled = upstream[:, None] * rows

        def backward(step: tf.Tensor, state: Any) -> Any:
            of_rows, *pieces = state
            piece, logits = part(step)
            weights = tf.exp(logits - log_sum[:, None])
            if not fixed:
                of_piece = tf.matmul(weights, scaled, transpose_a=True)
                pieces = [pieces[0].write(step, of_piece)]
            return step + 1, (of_rows + tf.matmul(weights, piece), *pieces)

        state: tuple[Any, ...] = (tf.zeros_like(rows),)
        if not fixed:
            shape = [chunk, rows.shape[1]]
            state += (tf.TensorArray(tf.float32, steps, element_shape=shape),)
        of_rows, *pieces = _loop(steps, backward, state)
        of_rows = upstream[:, None] * of_rows
        if fixed:
            return of_rows, None
        of_candidates = tf.reshape(pieces[0].stack(), [-1, rows.shape[1]])
        return of_rows, of_candidates[: tf.shape(candidates)[0]]

    return {"log_sum": log_sum, **found}, products


# Of a step: the candidates of its chunk, and the rows' logits with them.
_Part = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def _parts(
    rows: tf.Tensor, candidates: tf.Tensor, chunk: int, excluded: tf.Tensor | None
) -> tuple[Any, int, _Part]:
    """Number of steps, columns of each, and what makes a step's logits."""
    known = candidates.shape[0]
    count = tf.shape(candidates)[0] if known is None else known
    chunk = chunk if known is None else max(1, min(chunk, known))
    steps = -(-count // chunk)
    # Of an unknown number it can't be said whether chunks divide it.
    fits = known is not None and known % chunk == 0
    padding = [[0, steps * chunk - count], [0, 0]]
    padded = candidates if fits else tf.pad(candidates, padding)

    def part(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        piece = tf.slice(padded, [step * chunk, 0], [chunk, rows.shape[1]])
        logits = tf.matmul(rows, piece, transpose_b=True)
        if not fits:
            beyond = step * chunk + tf.range(chunk) >= count
            logits = tf.where(beyond, EXCLUDED, logits)
        if excluded is not None:
            logits = exclude(logits, excluded - step * chunk)
        return piece, logits

    return steps, chunk, part


def _sums(
    rows: tf.Tensor,
    steps: Any,
    chunk: int,
    part: _Part,
    right: tf.Tensor | None,
    nearest: bool,
) -> dict[str, tf.Tensor]:
    """Forward: the largest logits, the sums of what is relative to them, and others."""

    def forward(step: tf.Tensor, found: dict[str, tf.Tensor]) -> Any:
        _, logits = part(step)
        before, new = found["largest"], dict(found)
        if nearest:
            best = tf.argmax(logits, axis=1, output_type=tf.int32)
            most = tf.gather(logits, best, batch_dims=1)
            # Of equals the first one stays.
            new["nearest"] = tf.where(
                most > before, best + step * chunk, found["nearest"]
            )
        else:
            most = tf.reduce_max(logits, axis=1)
        if right is not None:
            at = right - step * chunk
            inside = tf.clip_by_value(at, 0, chunk - 1)
            own = tf.gather(logits, inside, batch_dims=1)
            new["own"] = tf.where(at == inside, own, found["own"])
        largest = new["largest"] = tf.maximum(before, most)
        added = tf.reduce_sum(tf.exp(logits - largest[:, None]), axis=1)
        new["sum"] = found["sum"] * tf.exp(before - largest) + added
        return step + 1, new

    zeros = tf.zeros_like(rows[:, 0])
    # In the order in which they are returned.
    start = {"sum": zeros, "largest": zeros + tf.float32.min}
    start |= {"own": zeros} if right is not None else {}
    start |= {"nearest": tf.cast(zeros, tf.int32)} if nearest else {}
    return _loop(steps, forward, start)


def _loop(steps: Any, body: Callable[..., Any], state: Any) -> Any:
    """The state after `steps`, one at a time: else chunks would live side by side."""
    _, state = tf.while_loop(
        lambda step, _: step < steps,
        body,
        (tf.constant(0), state),
        parallel_iterations=1,
        maximum_iterations=steps,
    )
    return state
