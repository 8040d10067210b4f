"""NT-Xent's comparison with candidates of many replicas, all at once and streamed.

A replica's share is measured alone: its rows against what a gather would have given it.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.core import checks, usage
from keras_ssl.losses import streamed

_WIDTH = 128
# 512 images on each of 16 replicas. Both views of all are rows and candidates; and, as
# one may read the same numbers, one view's are.
SIZES = ((1024, 16384), (512, 8192))
CHUNKS = (None, 512, 1024, 2048, 4096)
# Of the time of all columns at once, and MB (2^20 bytes) above the inputs.
_TIME_GOAL, _MEMORY_GOAL = 1.5, 64.0


def rows(
    sizes: Sequence[tuple[int, int]] = SIZES,
    chunks: Sequence[int | None] = CHUNKS,
    rounds: int = 15,
) -> list[dict[str, Any]]:
    """Measures the loss and its gradients, forward and backward.

    Args:
        sizes: Local rows and columns of each comparison.
        chunks: Columns at a time; the first one is what the others are compared with.
        rounds: Turns that count, after two that do not.

    Returns:
        A row for each time: `case`, `contender`, `milliseconds`, the median of
        processor time, `share`, the median over turns of its part of the first one's
        time, and `goal`. A row for each peak: `case`, `contender`, `megabytes` above
        the inputs in a process of its own, gradients included, and `goal`.

    Raises:
        ValueError: If `rounds` is not positive.
    """
    checks.positive(rounds=rounds)
    found = []
    for size in sizes:
        case = f"{size[0]:,} rows, {size[1]:,} columns"
        seconds = _times(size, chunks, rounds)
        for chunk, mine in seconds.items():
            shares = [a / b for a, b in zip(mine, seconds[chunks[0]], strict=True)]
            found.append(
                {
                    "case": f"{case}: time",
                    "contender": _name(chunk),
                    "milliseconds": round(1e3 * statistics.median(mine), 1),
                    "share": round(statistics.median(shares), 2),
                    "goal": None if chunk is None else _TIME_GOAL,
                }
            )
        found += [
            {
                "case": f"{case}: memory",
                "contender": _name(chunk),
                "megabytes": round(_peak_elsewhere(*size, chunk), 1),
                "goal": None if chunk is None else _MEMORY_GOAL,
            }
            for chunk in chunks
        ]
    return found


def peak(local: int, columns: int, chunk: int | None) -> float:
    """MB that a first step takes above what is there before it.

    Args:
        local: Rows.
        columns: Candidates.
        chunk: Columns at a time, or None.

    Returns:
        The highest resident memory after the step less the resident memory before it;
        too much rather than too little, if the process once held more.
    """
    step, given = _step(chunk), _inputs(local, columns)
    # What kernels and threads take for the first time is not the loss's.
    _run(step, _inputs(8, 64))
    traced = step.get_concrete_function(*given)
    before = usage.resident_memory()["now"]
    _run(traced, given)
    return (usage.resident_memory()["most"] - before) / 2**20


def _times(
    size: tuple[int, int], chunks: Sequence[int | None], rounds: int
) -> dict[int | None, list[float]]:
    """Seconds of processor time of each turn; they take turns in one process."""
    given = _inputs(*size)
    steps = {chunk: _step(chunk) for chunk in chunks}
    seconds: dict[int | None, list[float]] = {chunk: [] for chunk in chunks}
    for turn in range(rounds + 2):
        for chunk, step in steps.items():
            begun = time.process_time()
            _run(step, given)
            if turn >= 2:  # The first ones trace.
                seconds[chunk].append(time.process_time() - begun)
    return seconds


def _peak_elsewhere(local: int, columns: int, chunk: int | None) -> float:
    code = (
        "import json\n"
        "from keras_ssl.runs import benchmark_streamed\n"
        f"print(json.dumps(benchmark_streamed.peak({local}, {columns}, {chunk})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _inputs(local: int, columns: int) -> list[tf.Tensor]:
    """Rows over a temperature, candidates, and where a row's partner and itself are."""
    drawn = (
        tf.math.l2_normalize(tf.random.stateless_normal([count, _WIDTH], [0, seed]), -1)
        for seed, count in enumerate((local, columns))
    )
    first, second = drawn
    mine = tf.range(local)
    return [first / 0.1, second, mine + columns // 2, mine]


def _step(chunk: int | None) -> Any:
    @tf.function(autograph=False)
    def step(
        rows: tf.Tensor, candidates: tf.Tensor, right: tf.Tensor, itself: tf.Tensor
    ) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([rows, candidates])
            found = streamed.compare(rows, candidates, right, itself, chunk)
            loss = tf.reduce_mean(found["log_sum"] - found["own"])
        return [loss, *tape.gradient(loss, [rows, candidates])]

    return step


def _run(step: Callable[..., list[tf.Tensor]], given: list[tf.Tensor]) -> None:
    for result in step(*given):
        result.numpy()  # No copy on a CPU; elsewhere it waits.


def _name(chunk: int | None) -> str:
    return "all columns at once" if chunk is None else f"chunk {chunk:,}"
