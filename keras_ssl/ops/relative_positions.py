"""Biases of attention by the offset from one patch to another, and other windows."""

import numpy as np
import tensorflow as tf
from scipy import interpolate

# Of a class token to patches, of patches to it, and of it to itself.
CLASS_ROWS = 3


def relative_position_index(
    window: tuple[int, int], class_token: bool = False
) -> np.ndarray:
    """The row of a table of biases for each pair of tokens.

    Source: microsoft/Swin-Transformer models/swin_transformer.py WindowAttention; with
    a class token microsoft/unilm beit/modeling_finetune.py.

    Args:
        window: `(rows, columns)` of patches that look at each other.
        class_token: Whether a class token comes before them.

    Returns:
        `(l, l)` int32, the one that looks first: offsets row by row of
        `(2 * rows - 1, 2 * columns - 1)`, patch that looks minus patch looked at;
        after them the class token's three.

    Raises:
        ValueError: If the window has no patches.
    """
    rows, columns = window
    if min(window) < 1:
        raise ValueError(f"A window needs at least one patch, got {rows} x {columns}.")
    down, across = (x.ravel() for x in np.indices(window))
    down = down[:, None] - down + rows - 1
    across = across[:, None] - across + columns - 1
    index = down * (2 * columns - 1) + across
    if class_token:
        first = (2 * rows - 1) * (2 * columns - 1)
        index = np.pad(index, [(1, 0), (1, 0)])
        index[0], index[:, 0], index[0, 0] = first, first + 1, first + 2
    return index.astype(np.int32)


def resize_relative_positions(
    table: tf.Tensor,
    window: tuple[int, int],
    new_window: tuple[int, int],
    class_token: bool = False,
) -> tf.Tensor:
    """Brings a table of biases to a window of another size.

    A smaller one has some of the offsets and keeps their biases. A larger one is made
    as for BEiT's fine-tuning: the known biases are moved to distances that grow from 1
    by a constant factor until they reach the new window's greatest, and a cubic spline
    goes through them; near patches are told apart as before.
    Source: microsoft/unilm beit/run_class_finetuning.py, which knows squares only.

    Args:
        table: `((2 * rows - 1) * (2 * columns - 1), heads)`, three rows more with
            `class_token`.
        window: `(rows, columns)` of `table`.
        new_window: `(rows, columns)` to reach; the same leave the table as it is.
        class_token: Whether the last three rows are the class token's, which stay.

    Returns:
        A table of the same dtype for `new_window`.

    Raises:
        ValueError: If `table` is not of `window`.
    """
    down, across = (2 * side - 1 for side in window)
    count, heads = table.shape
    if count != down * across + CLASS_ROWS * class_token:
        raise ValueError(
            f"A table of {count} biases is not of {window[0]} x {window[1]} patches "
            f"{'and a class token' if class_token else 'alone'}."
        )
    if tuple(window) == tuple(new_window):
        return table
    weights = (
        tf.constant(_offsets(old, new), table.dtype)
        for old, new in zip(window, new_window, strict=True)
    )
    patches = tf.reshape(table[: down * across], [down, across, heads])
    patches = tf.einsum("yr,xc,rch->yxh", *weights, patches)
    return tf.concat([tf.reshape(patches, [-1, heads]), table[down * across :]], axis=0)


def _offsets(old: int, new: int) -> np.ndarray:
    """`(2 * new - 1, 2 * old - 1)` weights of the known offsets in the new ones."""
    if new <= old:
        return np.eye(2 * old - 1)[old - new : old + new - 1]
    distances = np.cumsum(_growth(old - 1, new - 1) ** np.arange(old - 1))
    known = np.concatenate([-distances[::-1], [0.0], distances])
    reached = np.clip(np.arange(1 - new, new), known[0], known[-1])
    return _spline(known, reached)


def _growth(count: int, total: int) -> float:
    """The factor q with `1 + q + ... + q**(count - 1) = total`, within 1.01 and 1.5."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        middle = (low + high) / 2
        if np.sum(middle ** np.arange(count)) > total:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _spline(known: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """`(m, n)` weights of values at `n` places in a cubic spline at `m` others."""
    degree = min(3, len(known) - 1)
    made = interpolate.make_interp_spline(known, np.eye(len(known)), degree)
    return made(reached)
