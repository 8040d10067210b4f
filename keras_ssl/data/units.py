"""Computes rows bit for bit the same, whoever makes them, and joins them to batches."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_ssl.core.share import Cut


def computed(
    function: Callable[..., Any], cut: Cut, place: tf.Tensor, *tensors: Any
) -> Any:
    """Calls a function of rows on a whole unit, of which a piece is wanted.

    Args:
        function: Maps rows to rows, each on its own.
        cut: Sizes of piece and unit.
        place: Scalar int32, where in the unit the piece stands.
        *tensors: Structures of tensors with `cut.piece` rows.

    Returns:
        What the function makes of the piece.
    """
    copies = cut.unit // cut.piece
    if copies == 1:
        return function(*tensors)

    # Copies of the piece fill the unit, and one of them stands in the right place.
    def fill(x: tf.Tensor) -> tf.Tensor:
        return tf.tile(x, [copies] + [1] * (x.shape.rank - 1))

    def take(x: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(x[place : place + cut.piece], [cut.piece, *x.shape[1:]])

    filled = tf.nest.map_structure(fill, tensors)
    return tf.nest.map_structure(take, function(*filled))


def joined(pieces: tf.data.Dataset, cut: Cut) -> tf.data.Dataset:
    """Joins pieces to the batches of replicas, in the order of both."""
    if cut.piece == cut.local:
        return pieces
    if cut.local % cut.piece == 0:
        return _stacked(pieces, cut.local // cut.piece)
    # Pieces reach over several replicas.
    whole = _stacked(pieces, cut.rows // cut.piece)
    return _reshaped(whole, [cut.rows // cut.local, cut.local], 1).unbatch()


def _stacked(pieces: tf.data.Dataset, count: int) -> tf.data.Dataset:
    if count == 1:
        return pieces
    return _reshaped(pieces.batch(count, drop_remainder=True), [-1], 2)


def _reshaped(batches: tf.data.Dataset, rows: list[int], axes: int) -> tf.data.Dataset:
    """Puts other leading axes in the place of the first ones."""

    def reshape(x: tf.Tensor) -> tf.Tensor:
        size = x.shape[:axes].num_elements()
        known = [size if n == -1 else n for n in rows]
        return tf.reshape(x, [*known, *x.shape[axes:]])

    return batches.map(lambda parts: tf.nest.map_structure(reshape, parts))
