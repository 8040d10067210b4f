"""What a run holds and how often it saves, counted and not measured."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core.tracing import named_variables
from keras_ssl.methods.base import Method


def parameters(method: Method) -> dict[str, int]:
    """Counts weights, and the bytes of all that lasts from step to step."""
    every = list(named_variables(method).values())
    ids = {id(v) for v in every}
    slots = [v for v in method.optimizer.variables if id(v) not in ids]
    remembered = {id(v): v for m in method.memories for v in m.variables}
    return {
        "encoder": _count(list(named_variables(method.encoder).values())),
        "trained": _count([v for v in every if v.trainable]),
        "not_trained": _count([v for v in every if not v.trainable]),
        "memories": _count(list(remembered.values())),
        "optimizer": _count(slots),
        "bytes": sum(_count([v]) * tf.as_dtype(v.dtype).size for v in (*every, *slots)),
    }


def _count(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(v.shape) for v in variables)


def saves(saver: Checkpoint, clock: schedules.Clock, start: int) -> int:
    """Checkpoints before the last step."""
    last, first = clock.total_steps - 1, start
    counts = [
        last // every - first // every
        for every in (saver.every_epochs * clock.steps_per_epoch, saver.every_steps)
        if every
    ]
    return sum(counts)
