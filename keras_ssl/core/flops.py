"""Arithmetic in a traced function: the multiply-adds of its products.

Counted are convolutions, matrix products and einsums with their gradients, two
operations a multiply-add, as papers count them. What works element by element (norms,
activations, optimizers) is left out: it is a few percent of the operations.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class Flops(NamedTuple):
    """Operations of one call.

    Attributes:
        products: Floating point operations, where sizes are known.
        unknown: Products whose size only shows at run time, not in `products`.
        loops: Loops of unknown length, whose bodies are in `products` once.
    """

    products: int = 0
    unknown: int = 0
    loops: int = 0

    def __add__(self, other: Any) -> "Flops":
        return Flops(*(a + b for a, b in zip(self, other, strict=True)))


def of_graph(graph: Any) -> Flops:
    """Counts a graph and the functions that it calls.

    Args:
        graph: Of a concrete function, before TensorFlow rewrites it.

    Returns:
        The sum over all operations; of a condition, its larger branch; of a loop with
        a greatest number of turns, as many.
    """
    return _Count(graph).of(graph.get_operations())


class _Count:
    """Walks a graph; each function's body is counted once and kept."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.known: dict[str, Flops] = {}

    def of(self, operations: list[tf.Operation]) -> Flops:
        total = Flops()
        for op in operations:
            total += self.one(op)
        return total

    def one(self, op: tf.Operation) -> Flops:
        if op.type in _PRODUCTS:
            size = _PRODUCTS[op.type](op)
            return Flops(unknown=1) if size is None else Flops(2 * size)
        called = [self.function(name) for name in _functions(op)]
        if not called:
            return Flops()
        if op.type in ("If", "StatelessIf", "Case", "StatelessCase"):
            return max(called)
        total = Flops()
        for each in called:
            total += each
        if op.type not in ("While", "StatelessWhile") or total.products == 0:
            return total
        turns = _turns(op)
        if turns is None:
            return total + Flops(loops=1)
        return Flops(*(turns * count for count in total))

    def function(self, name: str) -> Flops:
        if name not in self.known:
            self.known[name] = Flops()  # Against functions that call themselves.
            body = self.graph._get_function(name)
            if body is not None:
                self.known[name] = self.of(body.graph.get_operations())
        return self.known[name]


def _functions(op: tf.Operation) -> list[str]:
    """Names of the functions among an operation's attributes."""
    found = []
    for value in op.node_def.attr.values():
        found += [value.func.name, *(f.name for f in value.list.func)]
    return [name for name in found if name]


def _turns(op: tf.Operation) -> int | None:
    """`maximum_iterations` of a loop, which stands behind its counter; -1 is none."""
    most = tf.get_static_value(op.inputs[1])
    known = most is not None and most.shape == () and most.dtype == "int32"
    return int(most) if known and most >= 0 else None


def _volume(shape: tf.TensorShape) -> int | None:
    return shape.num_elements() if shape.rank is not None else None


def _product(*sizes: int | None) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _static(op: tf.Operation, index: int) -> tf.TensorShape:
    """The shape that an integer input holds, such as a gradient's `input_sizes`."""
    value = tf.get_static_value(op.inputs[index], partial=True)
    return tf.TensorShape(None if value is None else list(value))


def _window(kernel: tf.TensorShape, depthwise: bool) -> int | None:
    """Multiply-adds for each output: of one channel where each has its own kernel."""
    if kernel.rank != 4:
        return None
    height, width, channels, _ = kernel.as_list()
    return _product(height, width, 1 if depthwise else channels)


def _forward(op: tf.Operation) -> int | None:
    kernel = op.inputs[1].shape
    window = _window(kernel, op.type.startswith("Depthwise"))
    return _product(_volume(op.outputs[0].shape), window)


def _of_input(op: tf.Operation) -> int | None:
    """The gradient of a convolution's input costs what the convolution did."""
    window = _window(op.inputs[1].shape, op.type.startswith("Depthwise"))
    return _product(_volume(op.inputs[2].shape), window)


def _of_kernel(op: tf.Operation) -> int | None:
    kernel = op.outputs[0].shape
    kernel = kernel if kernel.is_fully_defined() else _static(op, 1)
    window = _window(kernel, op.type.startswith("Depthwise"))
    return _product(_volume(op.inputs[2].shape), window)


def _matrix(op: tf.Operation) -> int | None:
    first = op.inputs[0].shape
    if first.rank is None:
        return None
    turned = any(_attribute(op, name) for name in ("transpose_a", "adj_x"))
    return _product(_volume(op.outputs[0].shape), first[-2 if turned else -1])


def _attribute(op: tf.Operation, name: str) -> bool:
    return name in op.node_def.attr and bool(op.get_attr(name))


def _einsum(op: tf.Operation) -> int | None:
    """Every combination of the labels is one multiply-add; dots stand for a batch."""
    equation = op.get_attr("equation").decode()
    sizes: dict[str, int | None] = {}
    for part, operand in zip(
        equation.split("->")[0].split(","), op.inputs, strict=True
    ):
        if operand.shape.rank is None:
            return None
        labels = re.findall(r"\.\.\.|\w", part)
        dims = operand.shape.as_list()
        if "..." in labels:
            at, extra = labels.index("..."), len(dims) - len(labels) + 1
            dims[at : at + extra] = [_product(*dims[at : at + extra])]
        for label, size in zip(labels, dims, strict=True):
            sizes[label] = sizes.get(label) or size
    return _product(*sizes.values())


_PRODUCTS: dict[str, Callable[[tf.Operation], int | None]] = {
    "Conv2D": _forward,
    "DepthwiseConv2dNative": _forward,
    "Conv2DBackpropInput": _of_input,
    "DepthwiseConv2dNativeBackpropInput": _of_input,
    "Conv2DBackpropFilter": _of_kernel,
    "DepthwiseConv2dNativeBackpropFilter": _of_kernel,
    "MatMul": _matrix,
    "BatchMatMul": _matrix,
    "BatchMatMulV2": _matrix,
    "BatchMatMulV3": _matrix,
    "Einsum": _einsum,
}
