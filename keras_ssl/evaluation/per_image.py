"""Evaluations that know what came of each test image, and sum it up at the end."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_ssl.evaluation.data import Encode, EvaluationData, Features

# Which of the test images are summed up: all by `slice(None)`, or where a mask is true.
Rows = slice | np.ndarray


class PerImage(abc.ABC):
    """Base of evaluations whose scores follow from what came of each test image.

    So whatever is learned is learned once, and scores of a part of the test images
    cost nothing more.
    """

    @abc.abstractmethod
    def outcome(self, encode: Encode, data: EvaluationData) -> "Outcome":
        """Learns from train, and tries each test image.

        Args:
            encode: See `EvaluationData.features`.
            data: Where to learn and what to try.
        """

    def run(self, encode: Encode, data: EvaluationData) -> dict[str, float]:
        """Named numbers, `score` among them, over all test images; see `outcome`."""
        return self.outcome(encode, data).numbers


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of each test image.

    Attributes:
        numbers: The named numbers over all of them.
        without: Maps numbers of images in their source, `(m,)` integers, to the named
            numbers over the others.
    """

    numbers: dict[str, float]
    without: Callable[[np.ndarray], dict[str, float]]


def outcome(
    index: np.ndarray | None, measure: Callable[[Rows], dict[str, float]]
) -> Outcome:
    """What came of each test image, with what sums it up.

    Args:
        index: `(n,)` integers: numbers of the images in their source; None where they
            have none, as features that are simply given.
        measure: Maps `Rows` of these n to the named numbers over those images.
    """

    def without(left_out: np.ndarray) -> dict[str, float]:
        if index is None:
            raise ValueError("These test images have no numbers, so all must count.")
        return measure(~np.isin(index, left_out))

    return Outcome(measure(slice(None)), without)


def top1(
    predicted: np.ndarray, f: Features, more: Mapping[str, float] | None = None
) -> Outcome:
    """The share of test images that are classified right, as `top1`.

    Args:
        predicted: `(m,)` classes of the test images.
        f: Features, with the classes that are right.
        more: Numbers beside it that no test image counts for.
    """
    right = predicted == f.test_labels
    return outcome(
        f.test_index,
        lambda rows: {"top1": float(np.mean(right[rows])), **(more or {})},
    )


def tried(evaluation: Any, encode: Encode, data: EvaluationData) -> Outcome:
    """Runs an evaluation; a user's own, which may only `run`, is run twice if need be.

    Args:
        evaluation: See `results.Evaluation`; best a `PerImage`.
        encode: See `EvaluationData.features`.
        data: What it is run on.
    """
    if isinstance(evaluation, PerImage):
        return evaluation.outcome(encode, data)
    numbers = evaluation.run(encode, data)
    return Outcome(numbers, lambda rows: evaluation.run(encode, data.without(rows)))


def rounded(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers to six digits, as results have them."""
    return {key: float(f"{float(value):.6g}") for key, value in values.items()}
