"""What a run's numbers must be, checked before anything is made."""

from typing import Any

import tensorflow as tf

from keras_ssl.core import checks, distribute
from keras_ssl.methods import accumulation
from keras_ssl.runs import optimizing


def local_rows(batch_size: int, accumulate: int) -> int:
    """Rows of each replica's share of a batch; ValueError if it cannot be cut."""
    local = distribute.local_batch_size(batch_size)
    accumulation.chunk_rows(local, accumulate)
    return local


def check(
    epochs: int, scale: str, steps_per_execution: int, max_corrupt: float
) -> None:
    """Raises a ValueError for numbers and names that no run can have."""
    if epochs < 1 or steps_per_execution < 1:
        raise ValueError(
            "epochs and steps_per_execution must be at least 1, got "
            f"{epochs} and {steps_per_execution}."
        )
    checks.one_of(optimizing.SCALES, learning_rate_scale=scale)
    if not 0 <= max_corrupt <= 1:
        raise ValueError(f"max_corrupt must be in [0, 1], got {max_corrupt}.")


def divides(per_epoch: int, steps_per_execution: int) -> None:
    """Raises a ValueError if executions do not end where epochs do."""
    if per_epoch % steps_per_execution:
        raise ValueError(
            f"steps_per_execution {steps_per_execution} must divide the {per_epoch} "
            "steps of an epoch."
        )


def local_spec(spec: dict[str, Any], rows: int) -> dict[str, Any]:
    """The spec of a replica's share of a global batch."""
    return tf.nest.map_structure(
        lambda s: tf.TensorSpec([rows, *s.shape[1:]], s.dtype), spec
    )
