"""A result with all that it depends on, and a fingerprint of that."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import keras

from keras_ssl import metrics
from keras_ssl.core import registry
from keras_ssl.evaluation import per_image
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.raw import RAW

if TYPE_CHECKING:
    from keras_ssl.evaluation.leakage import Leakage

# What is drawn anew for each seed, beside which results of one protocol differ.
_SEED = "seed"


class Evaluation(Protocol):
    """What every registered evaluation is: it sees an encoder, never a method.

    Class attributes:
        score: Name of the number that stands for the result, the higher the better.

    One that is a `PerImage` learns once, even where its score is asked for on a part of
    the test images too. One that also takes several labels an image says so by
    `several = True`; one that needs no labels but what is true of places by `truth`:
    `mask`, `depth` or `boxes`.
    """

    score: ClassVar[str]

    def run(self, encode: Encode, data: EvaluationData) -> dict[str, float]:
        """Named numbers, `score` among them."""
        ...

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data, as JSON can hold it."""
        ...


def result(
    evaluation: Any,
    subject: str,
    encode: Encode,
    data: EvaluationData,
    step: int,
    leaks: "Leakage | None" = None,
) -> dict[str, Any]:
    """One line of evaluations.jsonl: the scores and all that they depend on.

    Args:
        evaluation: See `Evaluation`.
        subject: What is scored: `encoder`, or a baseline.
        encode: Its features of a batch.
        data: What it is scored on.
        step: Of the run.
        leaks: What looks for test images that the encoder has seen.

    Returns:
        The numbers of the evaluation by name, and `step`, `evaluation`, `subject`,
        `score` (which number counts), `health`, `protocol` and its `fingerprint`; with
        `leaks` also `leakage`, see `Leakage.beside`.
    """
    check(evaluation, data)
    found = per_image.tried(evaluation, encode, data)
    name, protocol, mark = described(evaluation, data)
    row = {
        "step": step,
        "evaluation": name,
        "subject": subject,
        "score": evaluation.score,
        **per_image.rounded(found.numbers),
        "health": _health(encode, data) if subject not in dict(RAW.values()) else {},
        "protocol": protocol,
        "fingerprint": mark,
    }
    if leaks is not None:
        row["leakage"] = leaks.beside(found, evaluation.score, data)
    return row


def described(evaluation: Any, data: EvaluationData) -> tuple[str, dict[str, Any], str]:
    """What a result will depend on, known before anything is computed.

    Args:
        evaluation: See `Evaluation`.
        data: What it is scored on.

    Returns:
        The evaluation's name, the whole protocol, and its fingerprint.
    """
    name = registry.name_of(evaluation)
    protocol = {
        **data.protocol(),
        # Last, as it may show images in another way.
        **evaluation.protocol(),
        "precision": keras.config.dtype_policy().name,
    }
    return name, protocol, fingerprint(name, protocol)


def check(evaluation: Any, data: EvaluationData) -> None:
    """Refuses data that an evaluation cannot take, before anything is computed.

    Args:
        evaluation: See `Evaluation`.
        data: What it is to be scored on.

    Raises:
        ValueError: If images have several labels and it takes one each, or it needs
            a truth that they have not.
    """
    several, truth = (getattr(evaluation, x, None) for x in ("several", "truth"))
    for source in (data.train, data.test):
        if truth is not None:
            source.need_truth(registry.name_of(evaluation), truth)
        else:
            source.need_labels(registry.name_of(evaluation), bool(several))


def fingerprint(evaluation: str, protocol: Mapping[str, Any]) -> str:
    """A short digest of a protocol; results with different ones do not compare.

    Args:
        evaluation: Name of the evaluation.
        protocol: See `Evaluation.protocol`; its `seed`, if any, does not count.

    Returns:
        12 hexadecimal digits.
    """
    counted = {key: value for key, value in protocol.items() if key != _SEED}
    text = json.dumps([evaluation, counted], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def seeded(evaluation: Any, seed: int) -> Any:
    """The evaluation with another seed.

    Args:
        evaluation: A data class; its field `seed`, if it has one, says what is drawn.
        seed: At least 0.

    Returns:
        The evaluation as it is if nothing in it is drawn.
    """
    if not has_seed(evaluation):
        return evaluation
    return dataclasses.replace(evaluation, seed=seed)


def has_seed(evaluation: Any) -> bool:
    """Whether a result depends on a seed."""
    fields = dataclasses.fields(evaluation) if _is_data(evaluation) else ()
    return any(field.name == _SEED for field in fields)


def headline(row: Mapping[str, Any]) -> float:
    """The number that stands for a line of evaluations.jsonl."""
    # Lines of older versions know of top-1 only.
    return float(row[row.get("score", "top1")])


def _is_data(evaluation: Any) -> bool:
    return dataclasses.is_dataclass(evaluation) and not isinstance(evaluation, type)


def _health(encode: Encode, data: EvaluationData) -> dict[str, float]:
    """Signs of collapse of an encoder, from at most 2,000 test images."""
    if data.test.truth is None:
        sample = data.features(encode, several=True).test[:2000]
    else:
        # Nothing else needs the features.
        limit = min(2000, data.test_limit or data.test.count)
        sample, _ = data.encoded(encode, data.test, limit)
    return per_image.rounded(
        {"feature_std": metrics.feature_std(sample), "rankme": metrics.rankme(sample)}
    )
