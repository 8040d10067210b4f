"""Finds out from a method itself how its objective spans replicas."""

import pytest
import tensorflow as tf

from keras_ssl.core import distribute


def found(method, batch):
    """How the objective of a method spans replicas.

    `local` if an example's gradient is the same beside half of the others as beside
    all; else `gathers` if tensors with a row for each example are gathered, which are
    those that the halves have fewer rows of; else `statistics` if replicas are asked
    for anything; else `nothing`: examples meet, but not those of other replicas.

    Args:
        method: A method on one replica.
        batch: Its batch, of an even number of rows.
    """
    outputs = method._outputs(batch)
    # Not masks and pixels, which no weight makes: none is below 0.
    made = [
        name
        for name, x in outputs.items()
        if x.dtype.is_floating and tf.reduce_min(x) < 0.0
    ]
    rows = batch["index"].shape[0] // 2
    whole, asked = _objective(method, outputs, made)
    parts = [slice(None, rows), slice(rows, None)]
    halves = [
        _objective(method, {name: x[part] for name, x in outputs.items()}, made)
        for part in parts
    ]
    # Losses would hide it: to first order the mean of two halves' is the whole one's.
    pairs = zip(*(gradients for gradients, _ in halves), strict=True)
    joined = [tf.concat(pair, axis=0) / 2.0 for pair in pairs]
    largest = max(float(tf.reduce_max(tf.abs(x))) for x in whole)
    both = zip(whole, joined, strict=True)
    apart = max(float(tf.reduce_max(tf.abs(x - y))) for x, y in both) / largest
    # Sums run in another order.
    if apart < 1e-4:
        return "local"
    # Nothing between: it would not be known which of both it is.
    assert apart > 1e-3, f"gradients differ by {apart:.1e} beside fewer examples"
    in_half = halves[0][1]
    assert [name for name, _ in in_half] == [name for name, _ in asked]
    for (name, many), (_, few) in zip(asked, in_half, strict=True):
        if name == "gather" and many != few:
            return "gathers"
    return "statistics" if asked else "nothing"


def _objective(method, outputs, made):
    """Gradients by the outputs `made`; what replicas were asked for, and rows of it."""
    asked = []

    def asking(name, function):
        def ask(x):
            asked.append((name, (*x.shape, None)[0]))
            return function(x)

        return ask

    by = {name: tf.identity(outputs[name]) for name in made}
    with pytest.MonkeyPatch.context() as patch, tf.GradientTape() as tape:
        tape.watch(by)
        for name in ("gather", "mean", "total"):
            patch.setattr(distribute, name, asking(name, getattr(distribute, name)))
        loss = method._scalars({**outputs, **by})["loss"]
    zero = tf.UnconnectedGradients.ZERO
    found = tape.gradient(loss, list(by.values()), unconnected_gradients=zero)
    return found, asked
