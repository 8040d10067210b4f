"""Whether what was exported answers as the encoder does, and how fast."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import console
from keras_ssl.data import pipeline, sources
from keras_ssl.encoders import known_output
from keras_ssl.encoders.base import kind

# Repetitions, of which the fastest counts.
_TIMES = 5


def real_examples(
    encoder: keras.Model, meta: dict[str, Any], count: int, data_dir: str | None
) -> tuple[np.ndarray, str]:
    """Examples of what a run trained on, as its encoder sees them.

    Args:
        encoder: The encoder.
        meta: Its record.
        count: How many.
        data_dir: Where TFDS keeps data.

    Returns:
        `(n, ...)` float32, and what they are in words: two made ones where the data
        are not at hand.
    """
    size, data = meta["image_size"], meta.get("data")
    if data:
        try:
            source = sources.open_source(data["source"], data["split"], data_dir)
            found = pipeline.evaluation_batches(source, size, count, count)
            return next(iter(found)).numpy(), f"{count} examples of {source.name}"
        except (ValueError, StopIteration) as error:
            console.say(f"The export is compared on made examples: {error}")
    return known_output.examples(kind(encoder), size), "two made examples"


def compare(
    encoder: keras.Model,
    served: Callable[[np.ndarray], np.ndarray],
    examples: tuple[np.ndarray, str],
) -> str:
    """One sentence on the difference of two functions and the ratio of their times.

    Args:
        encoder: The Keras encoder.
        served: What was exported, of the same examples.
        examples: As `real_examples` returns them.
    """
    batch, what = examples
    read = tf.function(lambda x: encoder(x, training=False), autograph=False)

    def called(x: np.ndarray) -> np.ndarray:
        return read(tf.constant(x)).numpy()

    want, got = called(batch), np.asarray(served(batch), np.float32)
    gap = float(np.max(np.abs(got - want)))
    least: dict[str, float] = {}
    # In turn: whatever else the machine does then meets both.
    for _ in range(_TIMES):
        for name, function in (("keras", called), ("served", served)):
            begun = time.perf_counter()
            function(batch)
            passed = time.perf_counter() - begun
            least[name] = min(passed, least.get(name, passed))
    return (
        f"against the Keras encoder on {what}: greatest difference {gap:.2g} of "
        f"features up to {np.max(np.abs(want)):.3g}; "
        f"{least['keras'] / least['served']:.2f} times its speed"
    )
