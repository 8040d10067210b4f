"""A few steps of a run, timed: as they will be, without waiting, and data alone."""

import dataclasses
import functools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.callbacks.online_evaluation import OnlineEvaluation
from keras_ssl.core import distribute, weights_file
from keras_ssl.core.flops import Flops, of_graph
from keras_ssl.core.tracing import named_optimizer_variables, named_variables
from keras_ssl.data import pipeline
from keras_ssl.evaluation import results
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.raw import RAW
from keras_ssl.methods.base import Method

STEPS = 20
# Until data fetched ahead while the first step compiled are used up.
_WARM_UP = 8
# An evaluation that takes longer is tried on a part of its images.
_PATIENCE = 20.0

Batches = Callable[..., tf.data.Dataset]


@dataclasses.dataclass
class Rehearsal:
    """What was measured; times are seconds.

    Attributes:
        compiling: The first execution of a step, over a later one.
        step: One step as the run does it.
        compute: One step on a batch that is there already.
        data: One batch of the pipeline with nothing else to do.
        loss: After the last step.
        flops: Arithmetic of one step, over all replicas.
        batch_bytes: Size of a global batch with its views.
    """

    compiling: float
    step: float
    loss: float
    compute: float = 0.0
    data: float = 0.0
    flops: Flops = Flops()  # noqa: RUF009 - a tuple, that nobody can change
    batch_bytes: int = 0


def train(method: Method, batches: Batches, start: int) -> Rehearsal:
    """Trains a few steps from `start` as the run does.

    Args:
        method: Set up and compiled, its optimizer built.
        batches: The pipeline, from a step on.
        start: Step to start from.

    Returns:
        Times of a step and of compiling it.
    """
    strategy = method.distribute_strategy
    iterator = iter(distribute.batches(functools.partial(batches, start), strategy))
    execute = method.make_train_function()
    each = method.steps_per_execution

    def one() -> float:
        begun = time.perf_counter()
        # Read as the recorder does, which waits for a GPU to finish.
        method_scalars.update({k: float(v) for k, v in execute(iterator).items()})
        return time.perf_counter() - begun

    method_scalars: dict[str, float] = {}
    first = one()
    for _ in range(math.ceil(_WARM_UP / each)):
        one()
    step = _typical([one() for _ in range(max(2, math.ceil(STEPS / each)))]) / each
    return Rehearsal(first - step * each, step, method_scalars["loss"])


def compare(rehearsal: Rehearsal, method: Method, batches: Batches, start: int) -> None:
    """Adds how fast data and compute are on their own, and counts the arithmetic.

    Args:
        rehearsal: Is added to.
        method: What was trained.
        batches: The pipeline, from a step on.
        start: Step to start from.
    """
    strategy = method.distribute_strategy
    shared = distribute.batches(functools.partial(batches, start), strategy)
    fixed = next(iter(shared))

    @tf.function(autograph=False)
    def step(batch: Any) -> tf.Tensor:
        scalars = strategy.run(method.train_step, args=(batch,))
        return strategy.experimental_local_results(scalars["loss"])[0]

    graph = step.get_concrete_function(fixed).graph
    local = len(strategy.experimental_local_results(fixed["index"]))
    counted = of_graph(graph)
    workers = distribute.replicas() // local
    rehearsal.flops = counted._replace(products=counted.products * workers)
    float(step(fixed))
    rehearsal.compute = _typical(_times(lambda: float(step(fixed)), STEPS))
    iterator: Iterator[Any] = iter(batches(start))
    batch = next(iterator)
    rehearsal.batch_bytes = sum(
        int(x.shape.num_elements()) * x.dtype.size for x in tf.nest.flatten(batch)
    )
    # What was fetched ahead while the step was traced would look fast.
    _times(lambda: next(iterator), _WARM_UP)
    times = _times(lambda: next(iterator), STEPS)
    rehearsal.data = sum(times) / len(times)


def _times(function: Callable[[], Any], count: int, most: float = 20.0) -> list[float]:
    """Seconds of each call; fewer calls where they take longer than `most` in all."""
    times: list[float] = []
    while len(times) < count and (len(times) < 2 or sum(times) < most):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return times


def _typical(times: list[float]) -> float:
    """The mean without the extremes: of data that come in bursts, a median lies."""
    cut = len(times) // 20
    return float(np.mean(sorted(times)[cut : len(times) - cut]))


@dataclasses.dataclass
class Scoring:
    """Seconds of online evaluation, and the memory that it was spared here.

    Attributes:
        before: The baselines, before training.
        between: Each time between.
        after: At the end.
        unseen_bytes: Features of images that were left out to save time.
    """

    before: float = 0.0
    between: float = 0.0
    after: float = 0.0
    unseen_bytes: int = 0


def score(
    evaluation: OnlineEvaluation, encoder: keras.Model, whole: EvaluationData
) -> Scoring:
    """Runs the evaluations of a run and leaves no results.

    Args:
        evaluation: What is scored.
        encoder: The encoder.
        whole: Its data, bounded as before and after training.

    Returns:
        Times; of large sets estimated from a part of them.
    """
    encode = Frozen(encoder)
    counts = [
        len(pipeline.subset(source.count, limit))
        for source, limit in (
            (whole.train, whole.train_limit),
            (whole.test, whole.test_limit),
        )
    ]
    images = pipeline.evaluation_batches(whole.train, whole.size, whole.batch_size)
    batch = next(images)
    features = encode(batch)  # Compiles.
    one = min(_times(lambda: np.asarray(encode(batch)), 2))
    encoding = one * sum(counts) / int(batch.shape[0])
    share = min(1.0, _PATIENCE / max(encoding, 1e-9))
    part = EvaluationData(
        whole.train,
        whole.test,
        whole.size,
        *(max(100, math.ceil(share * count)) for count in counts),
    )
    few = EvaluationData(whole.train, whole.test, whole.size, *evaluation.online_limits)

    def run(subject: str, encode: Any, data: EvaluationData) -> float:
        begun = time.perf_counter()
        for each in evaluation.evaluations:
            results.result(each, subject, encode, data, 0)
        data.forget()
        return time.perf_counter() - begun

    raw, trained = run(*RAW[whole.train.kind], part), run("encoder", encode, part)
    between = run("encoder", encode, few) if evaluation.every_epochs else 0.0
    width = max(3 * 32 * 32, int(features.shape[-1]))
    return Scoring(
        before=(raw + trained) / share,
        between=between,
        after=trained / share,
        # Once as they come, once in one piece, once standardised.
        unseen_bytes=round((1.0 - share) * sum(counts) * width * 4 * 3),
    )


def save(method: Method) -> tuple[float, int]:
    """Writes a checkpoint's contents to a file without a name.

    Returns:
        Seconds and bytes.
    """
    names = named_variables(method)
    by_id = {id(v): name for name, v in names.items()}
    variables = names | named_optimizer_variables(method.optimizer, by_id)
    begun = time.perf_counter()
    arrays = weights_file.values(variables)
    with tempfile.TemporaryFile() as file:
        np.savez(file, *arrays.values())
    return time.perf_counter() - begun, sum(a.nbytes for a in arrays.values())
