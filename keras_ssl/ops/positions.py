"""Position embeddings of patches: sines and cosines, and a table at other sizes."""

import numpy as np
import tensorflow as tf


def sincos_position_embedding_2d(
    dim: int, grid_size: int | tuple[int, int], class_token: bool = False
) -> tf.Tensor:
    """Sines and cosines of a patch's column, then of its row (MAE).

    Source: facebookresearch/mae util/pos_embed.py. Its variables say that rows come
    first, its values say columns.

    Args:
        dim: Channels, a multiple of 4.
        grid_size: Patches in a row and a column, or `(rows, columns)`.
        class_token: Whether a row of zeros comes first.

    Returns:
        `(rows * columns, dim)` float32, patches row by row; one row more with
        `class_token`.

    Raises:
        ValueError: If `dim` or `grid_size` is out of range.
    """
    rows, columns = _places(dim, grid_size)
    halves = _waves(columns, dim // 2), _waves(rows, dim // 2)
    return _table(halves, class_token)


def moco_v3_position_embedding(
    dim: int,
    grid_size: int | tuple[int, int],
    temperature: float = 10000.0,
    class_token: bool = True,
) -> tf.Tensor:
    """Sines and cosines of a patch's row, then of its column (MoCo v3).

    MAE's with the halves swapped. Source: facebookresearch/moco-v3 vits.py.

    Args:
        dim: Channels, a multiple of 4.
        grid_size: Patches in a row and a column, or `(rows, columns)`.
        temperature: The longest wave is nearly `2 pi` times as many patches long.
        class_token: Whether a row of zeros comes first.

    Returns:
        `(rows * columns, dim)` float32, patches row by row; one row more with
        `class_token`.

    Raises:
        ValueError: If `dim`, `grid_size` or `temperature` is out of range.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    rows, columns = _places(dim, grid_size)
    halves = (_waves(p, dim // 2, temperature) for p in (rows, columns))
    return _table(tuple(halves), class_token)


def interpolate_positions(
    table: tf.Tensor,
    grid: tuple[int, int],
    new_grid: tuple[int, int],
    offset: float = 0.0,
    class_token: bool = True,
) -> tf.Tensor:
    """Brings the positions of a grid of patches to another grid, bicubically.

    As PyTorch's bicubic interpolation, which the references use: kernel of a = -0.75,
    border values repeated, no smoothing where the grid shrinks. `tf.image.resize`
    has a = -0.5 and weighs borders anew.

    Args:
        table: `(1, rows * columns, d)` positions, patches row by row; one row more
            with `class_token`.
        grid: `(rows, columns)` of `table`.
        new_grid: `(rows, columns)` to reach; the same leave the table as it is.
        offset: Added to the new sizes when scales are taken from them:
            facebookresearch/dino has 0.1, facebookresearch/mae 0.
        class_token: Whether the first row is the class token's, which stays.

    Returns:
        `(1, new rows * new columns, d)` of the same dtype; one row more with
        `class_token`.

    Raises:
        ValueError: If `table` does not have the positions of `grid`.
    """
    (rows, columns), width = grid, table.shape[-1]
    if table.shape[1] != class_token + rows * columns:
        raise ValueError(
            f"A table of {table.shape[1]} positions is not of {rows} x {columns} "
            f"patches {'and a class token' if class_token else 'alone'}."
        )
    if tuple(grid) == tuple(new_grid):
        return table
    down, across = (
        tf.constant(_bicubic(old, new, offset), table.dtype)
        for old, new in zip(grid, new_grid, strict=True)
    )
    first = int(class_token)
    patches = tf.reshape(table[:, first:], [rows, columns, width])
    patches = tf.einsum("yr,xc,rcd->yxd", down, across, patches)
    patches = tf.reshape(patches, [1, new_grid[0] * new_grid[1], width])
    return tf.concat([table[:, :first], patches], axis=1)


def _places(
    dim: int, grid_size: int | tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every patch."""
    size = (grid_size, grid_size) if isinstance(grid_size, int) else tuple(grid_size)
    if dim < 4 or dim % 4 or min(size) < 1:
        raise ValueError(
            "Position embeddings need a positive multiple of 4 channels and a grid of "
            f"at least one patch; received dim={dim}, grid_size={grid_size}."
        )
    rows, columns = np.indices(size)
    return rows.ravel(), columns.ravel()


def _waves(places: np.ndarray, dim: int, temperature: float = 10000.0) -> np.ndarray:
    """`(n, dim)`: sines in the first half of the channels, cosines in the second."""
    frequencies = temperature ** -(np.arange(dim // 2) / (dim / 2))
    angles = np.outer(places, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _table(halves: tuple[np.ndarray, ...], class_token: bool) -> tf.Tensor:
    table = np.concatenate(halves, axis=1)
    return tf.constant(np.pad(table, [(int(class_token), 0), (0, 0)]), tf.float32)


def _bicubic(old: int, new: int, offset: float) -> np.ndarray:
    """`(new, old)` weights of the old places in the new ones."""
    places = (np.arange(new) + 0.5) * old / (new + offset) - 0.5
    first = np.floor(places).astype(int)
    weights = np.zeros([new, old])
    for tap in range(-1, 3):
        share = _cubic(np.abs(places - first - tap))
        np.add.at(weights, (np.arange(new), np.clip(first + tap, 0, old - 1)), share)
    return weights


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel at distances in [0, 2]."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, far)
