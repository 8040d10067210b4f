"""Memory and time of a large batch in chunks, beside a plain step of a chunk's size.

Memory is that of a process that does nothing else: the batch with its views is made,
then steps run. The batch counts, as whoever trains has it too.
"""

import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import config, registry, usage
from keras_ssl.methods.base import Batch, Method
from keras_ssl.runs import optimizing
from keras_ssl.schedules import Clock, fixed

RECIPE = "methods/simclr.gin"
_SIZE = 32
# Of the memory of a plain step of a chunk's size.
_GOAL = 1.3


def suite(
    batch_size: int = 4096, chunk: int = 256, rounds: int = 3
) -> list[dict[str, Any]]:
    """Measures the recipe's step at a batch, in chunks and whole, and at a chunk.

    Args:
        batch_size: Images, of two views each.
        chunk: Images of a chunk; divides `batch_size`.
        rounds: Turns that count of the steps that are timed, after one that does not.

    Returns:
        A row a case: `case`, `batch_size`, `mebibytes` (most that the process held),
        `mebibytes_of_steps` (without what it held before, images among it),
        `times_the_memory` (of the process) of the plain step of a chunk,
        `milliseconds` (median), `times_the_time` an image (median of turns) and `goal`.
    """
    count = batch_size // chunk
    cases = {
        f"plain, {chunk}": (chunk, 1),
        f"{batch_size} in {count} chunks": (batch_size, count),
        f"plain, {batch_size}": (batch_size, 1),
    }
    memory = [_alone(_memory, *case) for case in cases.values()]
    # The last one is as many times the first: nothing to learn, and minutes.
    seconds = [*_alone(_times, list(cases.values())[:2], rounds), None]
    return [
        _row(name, size, memory[at], memory[0], seconds[at], seconds[0], chunk)
        for at, (name, (size, _)) in enumerate(cases.items())
    ]


def _row(
    name: str,
    size: int,
    memory: dict[str, int],
    least: dict[str, int],
    seconds: list[float] | None,
    plain: list[float],
    chunk: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": f"SimCLR, small ResNet, {_SIZE} px, {name}",
        "batch_size": size,
        "mebibytes": round(memory["peak"] / 2**20),
        "mebibytes_of_steps": round(memory["steps"] / 2**20),
        "times_the_memory": round(memory["peak"] / least["peak"], 2),
        "goal": _GOAL if "chunks" in name else None,
    }
    if seconds is not None:
        an_image = [a / size * chunk / b for a, b in zip(seconds, plain, strict=True)]
        row["milliseconds"] = round(1e3 * statistics.median(seconds), 1)
        row["times_the_time"] = round(statistics.median(an_image), 2)
    return row


def _alone(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def _memory(batch_size: int, accumulate: int) -> dict[str, int]:
    """Bytes: the process's `peak`, and what `steps` took of it."""
    step, batch = _step(batch_size, accumulate)
    before = usage.resident_memory()["now"]
    for _ in range(2):
        step(batch)
    peak = usage.resident_memory()["most"]
    return {"peak": peak, "steps": peak - before}


def _times(cases: list[tuple[int, int]], rounds: int) -> list[list[float]]:
    """Seconds of steps that take turns, a list a case."""
    steps = [_step(*case) for case in cases]
    found: list[list[float]] = [[] for _ in cases]
    for turn in range(rounds + 1):
        for (step, batch), seconds in zip(steps, found, strict=True):
            begun = time.perf_counter()
            step(batch)
            if turn:
                seconds.append(time.perf_counter() - begun)
    return found


def _step(batch_size: int, accumulate: int) -> tuple[Callable[[Batch], float], Batch]:
    """A train step of the recipe, and a batch for it."""
    registry.load()
    # The loss too is made of some rows at a time, where it can be.
    streamed = "chunk" in registry.parameters(registry.get("method", "SimCLR"))
    config.parse([RECIPE], ["SimCLR.chunk = 256"] * streamed)
    keras.utils.set_random_seed(0)
    batch = _batch(batch_size)
    method: Method = config.value("train", "method")
    clock = Clock(100, 10)
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch)
    method.setup(spec, clock, accumulate=accumulate)
    optimizer = config.value("train", "optimizer")
    optimizing.compile_method(method, clock, optimizer, fixed(clock, 1e-3), 1.0)
    return functools.partial(
        _run, tf.function(method.train_step, autograph=False)
    ), batch


def _run(step: Callable[[Batch], Any], batch: Batch) -> float:
    return float(step(batch)["loss"])


def _batch(count: int) -> Batch:
    draw = np.random.default_rng(0).random
    views = [draw((count, _SIZE, _SIZE, 3), np.float32) for _ in range(2)]
    return {
        "views": tuple(tf.constant(view) for view in views),
        "seed": tf.zeros([count, 2], tf.int32),
        "index": tf.range(count, dtype=tf.int64),
    }
