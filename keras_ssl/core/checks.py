"""What losses and methods ask of their arguments."""

import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf


def positive(**numbers_by_name: Any) -> None:
    """Raises ValueError if a number is not positive.

    Tensors, such as a scheduled temperature, have no value yet and pass.
    """
    for name, value in numbers_by_name.items():
        if isinstance(value, numbers.Real) and not float(value) > 0:
            raise ValueError(f"{name} must be positive, got {value}.")


def not_negative(**numbers_by_name: Any) -> None:
    """Raises ValueError if a number is negative or not a number."""
    for name, value in numbers_by_name.items():
        if isinstance(value, numbers.Real) and not float(value) >= 0:
            raise ValueError(f"{name} must not be negative, got {value}.")


def columns(**numbers_by_name: Any) -> None:
    """Raises ValueError if a number of columns is neither None nor a positive int."""
    for name, value in numbers_by_name.items():
        if value is not None and not (type(value) is int and value > 0):
            raise ValueError(
                f"{name} must be a positive number of columns, or None for all at "
                f"once; got {value!r}."
            )


def share(**numbers_by_name: Any) -> None:
    """Raises ValueError if a number is not in [0, 1]."""
    for name, value in numbers_by_name.items():
        if isinstance(value, numbers.Real) and not 0 <= float(value) <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}.")


def one_of(known: Iterable[Any], **values: Any) -> None:
    """Raises ValueError if a value is not among those that are known."""
    listed = list(known)
    for name, value in values.items():
        if value not in listed:
            names = ", ".join(map(str, listed))
            raise ValueError(f"{name} must be one of {names}; got {value!r}.")


def rank(count: int, **tensors: tf.Tensor) -> None:
    """Raises ValueError if a tensor of known rank has not `count` dimensions."""
    for name, x in tensors.items():
        shape = tf.TensorShape(x.shape)
        if shape.rank not in (count, None):
            raise ValueError(f"{name} must have {count} dimensions, got {shape}.")


def same_shape(**tensors: tf.Tensor) -> None:
    """Raises ValueError unless all tensors may have the shape of the first."""
    _agree("shape", tensors, slice(None))


def same_rows(**tensors: tf.Tensor) -> None:
    """Raises ValueError unless all tensors may have the first one's leading size."""
    _agree("number of rows", tensors, slice(1))


def same_leading(count: int, **tensors: tf.Tensor) -> None:
    """Raises ValueError unless all tensors may have the first one's leading sizes."""
    _agree(f"first {count} sizes", tensors, slice(count))


def same_width(**tensors: tf.Tensor) -> None:
    """Raises ValueError unless all tensors may have the first one's last size."""
    _agree("width", tensors, slice(-1, None))


def crops(count: int, chosen: Sequence[int]) -> None:
    """Raises ValueError unless some of at least 2 crops are chosen, each once."""
    if count < 2:
        raise ValueError(f"There must be at least 2 crops, got {count}.")
    known = set(chosen) <= set(range(count)) and len(set(chosen)) == len(chosen)
    if not chosen or not known:
        raise ValueError(
            f"The crops that tell the others must be some of 0 to {count - 1}, each "
            f"once, got {tuple(chosen)}."
        )


def _agree(what: str, tensors: dict[str, tf.Tensor], axes: slice) -> None:
    # Variables and arrays have tuples for shapes.
    shapes = {name: tf.TensorShape(x.shape) for name, x in tensors.items()}
    first, *others = (shape[axes] for shape in shapes.values())
    if not all(first.is_compatible_with(other) for other in others):
        raise ValueError(
            f"{_listed(list(shapes))} must have the same {what}, got "
            f"{_listed([str(shape) for shape in shapes.values()])}."
        )


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
