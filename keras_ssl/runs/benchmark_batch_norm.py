"""How fast our batch norm is beside TensorFlow's fused one, on this device."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.layers.batch_norm import BatchNorm

# Stages of a ResNet-50 on images of 224 px, and of a ResNet-18 on those of 32 px.
SHAPES = ((16, 56, 56, 64), (16, 28, 28, 128), (64, 32, 32, 64), (64, 8, 8, 256))


def benchmark(
    shapes: Sequence[tuple[int, int, int, int]] = SHAPES,
    dtype: str = "float32",
    rounds: int = 20,
    repeats: int = 5,
) -> list[dict[str, Any]]:
    """Times a step forward and backward of both, by turns in one process.

    Ours also moves its statistics; the other computes outputs and gradients alone.

    Args:
        shapes: Inputs `(n, h, w, c)`.
        dtype: Type of the inputs, `float32` or `bfloat16`.
        rounds: Turns, of which the fastest counts: noise only ever adds.
        repeats: Steps in a turn.

    Returns:
        For each shape `shape`, `dtype`, `ours_ms`, `fused_ms`, their `ratio`, above 1
        where ours is slower, and `processor_ratio`: that of the processor's time over
        all turns, which other work on a shared machine disturbs less. On a GPU it says
        nothing.
    """
    rows = []
    for shape in shapes:
        x = tf.cast(tf.random.stateless_normal(shape, [0, 1]), dtype)
        steps = [_step(make(shape[-1], dtype)) for make in (_ours, _fused)]
        calls = [functools.partial(step, x) for step in steps]
        best, spent = _times(calls, rounds, repeats)
        ours, fused = (seconds * 1e3 for seconds in best)
        times = {"ours_ms": ours, "fused_ms": fused, "ratio": ours / fused}
        times["processor_ratio"] = spent[0] / spent[1]
        rows.append({"shape": tuple(shape), "dtype": dtype, **times})
    return rows


def _ours(channels: int, dtype: str) -> tuple[Callable[[Any], Any], list[Any]]:
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    layer = BatchNorm(dtype=policy)
    layer.build((None, None, None, channels))
    weights = [variable.value for variable in layer.trainable_variables]
    return lambda x: layer(x, training=True), weights


def _fused(channels: int, dtype: str) -> tuple[Callable[[Any], Any], list[Any]]:
    del dtype
    gamma, beta = tf.Variable(tf.ones([channels])), tf.Variable(tf.zeros([channels]))

    def call(x: tf.Tensor) -> tf.Tensor:
        return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=1e-5)[0]

    return call, [gamma, beta]


def _step(made: tuple[Callable[[Any], Any], list[Any]]) -> Callable[[Any], Any]:
    """A compiled step that returns what depends on all gradients."""
    call, weights = made

    @tf.function(autograph=False)
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x)
        # The outputs stand in for the gradient that arrives.
        return tape.gradient(y, [x, *weights], output_gradients=y)

    return step


def _times(
    steps: Sequence[Callable[[], Any]], rounds: int, repeats: int
) -> tuple[list[float], list[float]]:
    """Least seconds of each step, and the processor's seconds of all its turns.

    Turns change who goes first.
    """
    best, spent = [float("inf")] * len(steps), [0.0] * len(steps)
    for turn in range(rounds + 2):
        order = list(range(len(steps)))
        for i in order[:: -1 if turn % 2 else 1]:
            begin, used = time.perf_counter(), time.process_time()
            for _ in range(repeats):
                out = steps[i]()
            # Waits for the device.
            out[-1].numpy()
            seconds = (time.perf_counter() - begin) / repeats
            if turn >= 2:  # The first ones trace and fill caches.
                best[i] = min(best[i], seconds)
                spent[i] += time.process_time() - used
    return best, spent
