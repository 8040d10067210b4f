"""Windows of tokens, and which of them a shifted window keeps apart."""

import numpy as np
import tensorflow as tf

# What the reference adds to a score that must not count.
APART = -100.0


def window_and_shift(grid: tuple[int, int], window: int) -> tuple[int, int]:
    """Side of the windows that maps are cut into, and how far every other block rolls.

    Maps of no more than a window have windows of their own shorter side, and do not
    roll. Source: microsoft/Swin-Transformer models/swin_transformer.py
    SwinTransformerBlock.

    Args:
        grid: `(rows, columns)` of tokens.
        window: Side of a window where maps are larger.

    Returns:
        `(window, shift)`, tokens.

    Raises:
        ValueError: If windows do not fill the grid.
    """
    side, shift = (window, window // 2) if min(grid) > window else (min(grid), 0)
    if grid[0] % side or grid[1] % side:
        raise ValueError(
            f"Windows of {side} x {side} do not fill {grid[0]} x {grid[1]} tokens."
        )
    return side, shift


def windows_of(maps: tf.Tensor, window: int) -> tf.Tensor:
    """Cuts maps into windows, each one row of tokens (Swin).

    Args:
        maps: `(n, rows, columns, c)`; both sides are multiples of `window`.
        window: Side of a window, tokens.

    Returns:
        `(n * windows, window * window, c)`: an image's windows row by row, one image
        after another.
    """
    _, rows, columns, width = maps.shape
    x = tf.reshape(maps, [-1, rows // window, window, columns // window, window, width])
    return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, window**2, width])


def from_windows(windows: tf.Tensor, window: int, grid: tuple[int, int]) -> tf.Tensor:
    """Puts windows together again: the inverse of `windows_of`.

    Args:
        windows: `(n * windows, window * window, c)`.
        window: Side of a window, tokens.
        grid: `(rows, columns)` of tokens in an image.

    Returns:
        `(n, rows, columns, c)` maps.
    """
    rows, columns = grid
    width = windows.shape[-1]
    x = tf.reshape(
        windows, [-1, rows // window, columns // window, window, window, width]
    )
    return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, rows, columns, width])


def shifted_window_mask(grid: tuple[int, int], window: int, shift: int) -> np.ndarray:
    """What keeps apart tokens that only rolling has brought into one window.

    Source: microsoft/Swin-Transformer models/swin_transformer.py
    SwinTransformerBlock: maps are rolled up and left by `shift`, so that the last
    windows hold the far side and the near one.

    Args:
        grid: `(rows, columns)` of tokens, multiples of `window`.
        window: Side of a window, tokens.
        shift: Tokens by which maps are rolled, in [0, window).

    Returns:
        `(windows, window * window, window * window)` float32: -100 for pairs that must
        not look at each other, 0 for others.
    """

    def regions(side: int) -> np.ndarray:
        """Before the last window, in it, and rolled over from the near side."""
        place = np.arange(side)
        return (place >= side - window).astype(int) + (place >= side - shift)

    rows, columns = (regions(side) for side in grid)
    both = 3 * rows[:, None] + columns
    x = both.reshape(grid[0] // window, window, grid[1] // window, window)
    x = x.transpose(0, 2, 1, 3).reshape(-1, window**2)
    return np.where(x[:, :, None] == x[:, None], 0.0, APART).astype(np.float32)
