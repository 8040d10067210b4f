"""Scores a finished run or an export on any labelled source."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import registry, run_dir
from keras_ssl.data import sources
from keras_ssl.encoders.known_output import KnownOutput
from keras_ssl.evaluation import results
from keras_ssl.evaluation.data import Encode, EvaluationData, Frozen
from keras_ssl.evaluation.raw import RAW
from keras_ssl.runs import encoders, fits, leaking
from keras_ssl.runs.watch import OUTPUT

_RAW = dict(RAW.values())
# Seed of the weights of the baseline that is not trained.
_UNTRAINED = 0
SUBJECTS = ("encoder", "random_init", *_RAW)


def evaluate(
    path: str | pathlib.Path,
    evaluations: Sequence[Any] = ("knn", "linear"),
    subjects: Sequence[str] = ("encoder",),
    data: str | None = None,
    data_dir: str | None = None,
    train_split: str = "train",
    test_split: str = "test",
    projector_layers: int = 0,
    seeds: int = 1,
    image_size: int | None = None,
    leakage: bool = False,
) -> list[dict[str, Any]]:
    """Evaluates and appends to the evaluations.jsonl of the run or beside the export.

    Args:
        path: A run directory or an exported SavedModel.
        evaluations: Registered names, or evaluations.
        subjects: Of `encoder`, `random_init` and `raw_pixels`, or `spectrum` where
            data are recordings.
        data: A labelled source; what the run trained on if None.
        data_dir: Where TFDS keeps data; the run's own if None.
        train_split: Split that probes learn from.
        test_split: Split that they are scored on.
        projector_layers: Layers of the run's projector that follow the encoder, each
            with its norm and ReLU. The lines' subject then says so, as in
            `encoder/projector_1`.
        seeds: How often what an evaluation draws, such as which labels it sees, is
            drawn; those that draw nothing run once.
        image_size: Side of the images that are encoded; the run's own if None.
        leakage: Whether to look for test images in what the run was pretrained on;
            results then say how many there are, and the score without them.

    Returns:
        The new lines of evaluations.jsonl.

    Raises:
        ValueError: If there is no checkpoint, no such source or split, no labels, no
            projector with so many layers, data that do not fit (see
            `EvaluationData`), or an encoder that was never trained or computes
            something else than when it was saved.
        KeyError: If an evaluation is unknown.
    """
    path = pathlib.Path(path)
    runs = [
        registry.get("evaluation", each)() if isinstance(each, str) else each
        for each in evaluations
    ]
    all_runs = _all_seeds(runs, seeds)
    meta = opened(path, subjects, projector_layers)
    record = run_dir.read_json(path / run_dir.RUN)
    name = data or meta.get("data", {}).get("source")
    if name is None:
        raise ValueError(
            f"{path} comes from a released checkpoint and not from a run, so no data "
            "are known to score it on. Give --data=..., such as tfds:cifar10."
        )
    train, test = (
        sources.open_source(name, split, data_dir or record.get("data_dir"))
        for split in (train_split, test_split)
    )
    check_baselines(subjects, train.kind)
    size = meta["image_size"] if image_size is None else image_size
    both = EvaluationData(train, test, size)
    fits.check_fits(meta, train, size)
    for run in runs:
        results.check(run, both)
    leaks = leaking.of_run(path, meta, data_dir) if leakage else None
    rows = []
    for subject in subjects:
        encode = subject_of(subject, path, meta, projector_layers, size)
        # Not to be taken for the encoder's own score.
        after = f"/projector_{projector_layers}" if projector_layers else ""
        label = subject if subject in _RAW else subject + after
        for run in all_runs:
            rows.append(results.result(run, label, encode, both, meta["step"], leaks))
            run_dir.append_line(path / run_dir.EVALUATIONS, rows[-1])
    return rows


def _all_seeds(evaluations: Sequence[Any], seeds: int) -> list[Any]:
    """Each evaluation once for each seed, if it has any.

    Raises:
        ValueError: If there is to be no seed.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    return [
        results.seeded(run, seed)
        for run in evaluations
        for seed in (range(seeds) if results.has_seed(run) else range(1))
    ]


def check_baselines(subjects: Sequence[str], kind: str) -> None:
    """Raises a ValueError for raw features of another kind of data."""
    for subject in subjects:
        if subject in _RAW and subject != RAW[kind][0]:
            raise ValueError(
                f"{subject!r} is no baseline of {kind} data, whose baseline is "
                f"{RAW[kind][0]!r}."
            )


def opened(
    path: pathlib.Path, subjects: Sequence[str], projector_layers: int = 0
) -> dict[str, Any]:
    """The record of a run or an export, in whose precision all goes on.

    Raises:
        ValueError: If there is none, no such subject, or an untrained encoder.
    """
    for subject in subjects:
        if subject not in SUBJECTS:
            hint = registry.did_you_mean(subject, SUBJECTS)
            raise ValueError(f"No subject {subject!r}.{hint}")
    _, meta = encoders.read(path, projector_layers)
    if "encoder" in subjects:
        encoders.check_trained(path, meta)
    keras.config.set_dtype_policy(meta["precision"])
    return meta


def subject_of(
    name: str,
    path: pathlib.Path,
    meta: dict[str, Any],
    projector_layers: int = 0,
    size: int | None = None,
) -> Encode:
    """Features of what is scored: an encoder, or a baseline."""
    if name in _RAW:
        return _RAW[name]
    if name == "random_init":
        # The same one each time: networks differ by points before they learn.
        keras.utils.set_random_seed(_UNTRAINED)
        return Frozen(encoders.build(meta))
    return _trained(path, meta, projector_layers, size in (None, meta["image_size"]))


def _trained(
    path: pathlib.Path, meta: dict[str, Any], projector_layers: int, own_size: bool
) -> Encode:
    """A run's encoder; of an export the SavedModel itself, not a copy of it."""
    if (path / "saved_model.pb").exists() and own_size:
        serve = tf.saved_model.load(str(path)).signatures["serve_float"]
        (name,) = serve.structured_input_signature[1]

        def encode(examples: tf.Tensor) -> tf.Tensor:
            return serve(**{name: examples})["features"]

        takes = "audio" if name == "waveforms" else "image"
        known = KnownOutput(takes, meta["image_size"], meta["precision"], encode)
        known.check(meta.get(OUTPUT), str(path))
        return encode
    return Frozen(encoders.load(path, projector_layers=projector_layers)[0])
