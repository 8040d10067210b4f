"""A step's gradients: of the whole batch at once, or in chunks that fit in memory.

A loss that compares examples needs all of them, but only what `forward` made of them.
So a first pass makes the outputs of all chunks and keeps nothing else; the objective
gives the loss's gradient by the outputs, and by weights of its own; a second pass makes
each chunk again and carries its rows of that gradient on to the weights. The sum is the
whole batch's gradient, whatever the loss, for a forward pass more.

"Scaling deep contrastive learning batch size under memory limited setup", Gao et al.
2021, https://arxiv.org/abs/2101.06983
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_ssl.core import tracing
from keras_ssl.core.in_turn import in_turn

Batch = Mapping[str, Any]
Tensors = dict[str, tf.Tensor]
Variables = Sequence[keras.Variable]
Forward = Callable[[Batch], Tensors]
Objective = Callable[[Tensors], Tensors]
# From a loss to what the optimizer wants the gradient of.
Scale = Callable[[tf.Tensor], tf.Tensor]


class Step(NamedTuple):
    """What came out of a step before the update.

    Attributes:
        scalars: The objective's.
        outputs: `forward`'s, of the whole batch; none where nobody asks for them.
        gradients: One for each variable, None where the loss does not depend on it.
    """

    scalars: Tensors
    outputs: Tensors
    gradients: list[tf.Tensor | None]


def whole(
    forward: Forward,
    objective: Objective,
    batch: Batch,
    variables: Variables,
    scale: Scale,
) -> Step:
    """Differentiates the loss of a whole batch at once.

    Args:
        forward: Maps a batch to outputs.
        objective: Maps outputs to scalars, `loss` among them.
        batch: This replica's.
        variables: What to differentiate by.
        scale: Applied to the loss first.
    """
    with tf.GradientTape() as tape:
        outputs = forward(batch)
        scalars = objective(outputs)
        loss = scale(scalars["loss"])
    return Step(scalars, outputs, tape.gradient(loss, variables))


def chunk_rows(local: int, count: int) -> int:
    """Rows of each of `count` equal chunks of a local batch.

    Raises:
        ValueError: If there are no such chunks.
    """
    if count >= 1 and local % count == 0:
        return local // count
    divisors = [n for n in range(1, local + 1) if local % n == 0]
    near = [max((n for n in divisors if n < count), default=None)]
    near.append(min((n for n in divisors if n > count), default=None))
    said = " or ".join(str(n) for n in near if n is not None)
    lower = local // count * count if count >= 1 else 0
    sizes = [str(n) for n in (lower, lower + count) if n > 0]
    other = f", or {' or '.join(sizes)} images a replica" if count >= 1 else ""
    raise ValueError(
        f"accumulate must be at least 1 and divide the {local} images of each "
        f"replica's batch, got {count}; take {said}{other}."
    )


class Chunks:
    """Differentiates the loss of a batch whose activations do not fit in memory.

    Row `i` is in chunk `i % count`, which is the same images on any number of replicas.
    Batch norms see a chunk of all replicas at a time, and no more: their statistics are
    of it, and moving ones move once a chunk, in the second pass. Of the first pass no
    state remains: what `forward` changes is put back, so that both passes draw the same
    random numbers, from generators with a state too.

    Args:
        count: Chunks of a local batch, at least 1.
        forward: Maps a batch to outputs `(n, ...)`.
        objective: Maps outputs to scalars, `loss` among them.
        alone: Whether the loss is a mean over examples, of which none meets another,
            and nobody asks for the outputs: then one pass does, and scalars are means
            over the chunks.
    """

    def __init__(
        self, count: int, forward: Forward, objective: Objective, alone: bool = False
    ) -> None:
        self.count, self.forward, self.objective = count, forward, objective
        self.alone = alone
        self.made: dict[str, Any] = {}
        self.scalars: list[str] = []
        # Outputs that are the batch's own tensors, such as its images.
        self.passed: dict[str, int] = {}
        self.changed: list[keras.Variable] = []

    def prepare(self, spec: Batch, state: Variables) -> None:
        """Finds out what `forward` makes of a chunk and which state it changes.

        Args:
            spec: Shapes and dtypes of a local batch.
            state: Variables that may change, all made already.

        Raises:
            ValueError: If the rows cannot be shared out, or an output has others.
        """
        rows = chunk_rows(spec["seed"].shape[0], self.count)

        def probe(batch: Batch) -> Tensors:
            with keras.StatelessScope() as scope:
                outputs = self.forward(batch)
            self.changed = [v for v in state if scope.get_current_value(v) is not None]
            given = {id(x): i for i, x in enumerate(tf.nest.flatten(dict(batch)))}
            self.passed = {
                name: given[id(x)] for name, x in outputs.items() if id(x) in given
            }
            if self.alone:
                self.scalars = sorted(self.objective(outputs))
            return {k: x for k, x in outputs.items() if k not in self.passed}

        chunk = tf.nest.map_structure(
            lambda s: tf.TensorSpec([rows, *s.shape[1:]], s.dtype), dict(spec)
        )
        self.made = dict(tracing.make_variables(probe, chunk))
        for name, x in self.made.items():
            if not x.shape or x.shape[0] != rows:
                raise ValueError(
                    f"Of {rows} examples forward must make outputs with as many rows; "
                    f"{name!r} is {tuple(x.shape)}."
                )

    def __call__(self, batch: Batch, variables: Variables, scale: Scale) -> Step:
        """Differentiates; arguments and result are those of `whole`."""
        step = self._one_pass if self.alone else self._two_passes
        return step(batch, variables, scale)

    def _two_passes(self, batch: Batch, variables: Variables, scale: Scale) -> Step:
        before = [tf.identity(variable.value) for variable in self.changed]
        outputs = self._outputs(batch)
        for variable, value in zip(self.changed, before, strict=True):
            variable.assign(value)
        sources = {k: outputs[k] for k in self.made if outputs[k].dtype.is_floating}
        with tf.GradientTape() as tape:
            tape.watch(list(sources.values()))
            scalars = self.objective(outputs)
            loss = scale(scalars["loss"])
        found, own = tape.gradient(loss, (sources, list(variables)))
        found = {k: tf.convert_to_tensor(g) for k, g in found.items() if g is not None}

        def one(rows: tf.Tensor, _: list[tf.Tensor]) -> tuple[Any, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                made = self.forward(_rows_of(batch, rows))
            targets = [made[name] for name in found]
            theirs = [tf.gather(gradient, rows) for gradient in found.values()]
            return tape.gradient(targets, list(variables), theirs), []

        gradients, _ = self._sum(one, variables, own, [])
        return Step(scalars, outputs, gradients)

    def _one_pass(self, batch: Batch, variables: Variables, scale: Scale) -> Step:
        def one(rows: tf.Tensor, means: list[tf.Tensor]) -> tuple[Any, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                scalars = self.objective(self.forward(_rows_of(batch, rows)))
                loss = scale(scalars["loss"]) / self.count
            shares = [tf.cast(scalars[k], tf.float32) / self.count for k in names]
            added = [a + b for a, b in zip(means, shares, strict=True)]
            return tape.gradient(loss, list(variables)), added

        names = self.scalars
        none = [None] * len(variables)
        gradients, means = self._sum(one, variables, none, [tf.zeros([])] * len(names))
        return Step(dict(zip(names, means, strict=True)), {}, gradients)

    def _outputs(self, batch: Batch) -> Tensors:
        """`forward`'s outputs of all chunks, without what led to them."""

        def fill(i: tf.Tensor, kept: list[tf.Tensor]) -> list[tf.Tensor]:
            rows = self._rows(i)
            made = self.forward(_rows_of(batch, rows))
            return [
                tf.tensor_scatter_nd_update(x, rows[:, None], made[name])
                for name, x in zip(self.made, kept, strict=True)
            ]

        empty = [
            tf.zeros([self.count * x.shape[0], *x.shape[1:]], x.dtype)
            for x in self.made.values()
        ]
        kept = in_turn(fill, self.count, empty)
        given = tf.nest.flatten(dict(batch))
        passed = {name: given[i] for name, i in self.passed.items()}
        return passed | dict(zip(self.made, kept, strict=True))

    def _sum(
        self,
        one: Callable[[tf.Tensor, list[tf.Tensor]], tuple[Any, list[tf.Tensor]]],
        variables: Variables,
        start: Sequence[Any],
        beside: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor | None], list[tf.Tensor]]:
        """Adds the gradients of all chunks to those of the start."""
        reached = [gradient is not None for gradient in start]

        def add(i: tf.Tensor, carried: list[tf.Tensor]) -> list[tf.Tensor]:
            sums = carried[: len(variables)]
            found, more = one(self._rows(i), carried[len(variables) :])
            for at, gradient in enumerate(found):
                if gradient is not None:
                    reached[at] = True
                    sums[at] += tf.convert_to_tensor(gradient)
            return [*sums, *more]

        zeros = [
            tf.zeros(v.shape, v.dtype) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(start, variables, strict=True)
        ]
        carried = in_turn(add, self.count, [*zeros, *beside])
        sums = carried[: len(variables)]
        gradients = [
            x if found else None for x, found in zip(sums, reached, strict=True)
        ]
        return gradients, carried[len(variables) :]

    def _rows(self, i: tf.Tensor) -> tf.Tensor:
        """`(m,)` int32: the rows of chunk `i`."""
        size = next(iter(self.made.values())).shape[0]
        return tf.range(size) * self.count + i


def _rows_of(batch: Batch, rows: tf.Tensor) -> Batch:
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), dict(batch))
