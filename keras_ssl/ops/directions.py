"""Grids seen so that a direction leads from the first row to the last."""

import tensorflow as tf

DIRECTIONS = ("down", "up", "right", "left")


def turned(grid: tf.Tensor, direction: str) -> tf.Tensor:
    """Exchanges or reverses rows and columns, so that a direction becomes downward.

    Args:
        grid: `(n, rows, columns, ...)`.
        direction: One of `DIRECTIONS`; `down` leaves the grid as it is.

    Returns:
        `(n, rows, columns, ...)`, or `(n, columns, rows, ...)` for `right` and `left`.

    Raises:
        ValueError: If the direction is unknown.
    """
    if direction not in DIRECTIONS:
        raise ValueError(
            f"direction must be one of {', '.join(DIRECTIONS)}; got {direction!r}."
        )
    if direction in ("right", "left"):
        grid = tf.transpose(grid, [0, 2, 1, *range(3, len(grid.shape))])
    return tf.reverse(grid, [1]) if direction in ("up", "left") else grid
