"""Replicas that are not there: what a step would send, found out by tracing it.

While `replicas(128)` lasts, `core.distribute` answers as it would on one of 128
replicas, with tensors of the right shapes, and every meeting of replicas is noted.
Nothing that is traced so is to be run.
"""

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_ssl.core import distribute, precision

# Where the sum of the weights' gradients over replicas is said to come from.
GRADIENTS = "gradients"
_CORE = __name__.rpartition(".")[0]


class Collective(NamedTuple):
    """A meeting of replicas in a step.

    Attributes:
        kind: `all-gather` or `all-reduce`.
        where: Module that asked for it.
        shape: What each replica brings.
        bytes: Its size.
        backward: Whether it is the gradient of another one.
    """

    kind: str
    where: str
    shape: tuple[int, ...]
    bytes: int
    backward: bool = False

    def sent(self, replicas: int) -> float:
        """Bytes that each replica sends around a ring, and receives."""
        if self.kind == "all-gather":
            return float((replicas - 1) * self.bytes)
        return 2.0 * (replicas - 1) / replicas * self.bytes


@contextlib.contextmanager
def replicas(count: int) -> Iterator[list[Collective]]:
    """Pretends that this is one of `count` replicas.

    Args:
        count: Replicas, at least 1; with 1 nothing is noted.

    Yields:
        The meetings, in the order in which they are traced; those of a loop once.
    """
    noted: list[Collective] = []
    put: list[tuple[Any, str, Callable[..., Any]]] = [
        (distribute, "replicas", lambda: count),
        (distribute, "gather", lambda x: _gather(noted, count, x)),
        (distribute, "mean", lambda x: _reduce(noted, x)),
        (distribute, "total", lambda x: _reduce(noted, x)),
        (distribute, "rows", lambda local: _rows(count, local)),
        (precision, "apply_gradients", _apply(noted, precision.apply_gradients)),
    ]
    kept = [(module, name, getattr(module, name)) for module, name, _ in put]
    try:
        for module, name, function in put if count > 1 else []:
            setattr(module, name, function)
        yield noted
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def _gather(noted: list[Collective], count: int, x: tf.Tensor) -> tf.Tensor:
    where = _caller()
    _note(noted, "all-gather", where, x)

    @tf.custom_gradient
    def gathered(x: tf.Tensor) -> Any:
        # As TensorFlow's own: all replicas' gradients are summed, then shared out.
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            _note(noted, "all-reduce", where, upstream, backward=True)
            return upstream[: tf.shape(x)[0]]

        return tf.tile(x, [count, *[1] * (len(x.shape) - 1)]), gradient

    return gathered(x)


def _reduce(noted: list[Collective], x: Any) -> tf.Tensor:
    x, where = tf.convert_to_tensor(x), _caller()
    _note(noted, "all-reduce", where, x)

    @tf.custom_gradient
    def reduced(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            _note(noted, "all-reduce", where, upstream, backward=True)
            return upstream

        return tf.identity(x), gradient

    return reduced(x)


def _rows(count: int, local: tf.Tensor) -> int | tf.Tensor:
    known = local.shape[0]
    return count * (tf.shape(local)[0] if known is None else int(known))


def _apply(noted: list[Collective], apply: Callable[..., None]) -> Callable[..., None]:
    """Notes the gradients' sum, which the optimizer asks the strategy for."""

    def apply_gradients(
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[tf.Tensor | None],
        variables: Sequence[keras.Variable],
    ) -> None:
        sizes = [
            (math.prod(v.shape), g.dtype.size)
            for g, v in zip(gradients, variables, strict=True)
            if g is not None
        ]
        # One transfer: strategies pack them.
        shape = (sum(elements for elements, _ in sizes),)
        size = sum(elements * width for elements, width in sizes)
        noted.append(Collective("all-reduce", GRADIENTS, shape, size))
        apply(optimizer, gradients, variables)

    return apply_gradients


def _note(
    noted: list[Collective],
    kind: str,
    where: str,
    x: tf.Tensor,
    backward: bool = False,
) -> None:
    shape = tuple(x.shape)
    if None in shape:  # While variables are made, sizes may be unknown yet.
        shape = tuple(0 if size is None else size for size in shape)
    size = math.prod(shape) * x.dtype.size
    noted.append(Collective(kind, where, shape, size, backward))


def _caller() -> str:
    """The module, not of `core`, that asked for a meeting."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_CORE):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
