"""Scores a finished run or an export on any labelled source."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.online_evaluation import result
from keras_ssl.core import registry, run_dir
from keras_ssl.data import sources
from keras_ssl.encoders.known_output import KnownOutput
from keras_ssl.evaluation.data import RAW, Encode, EvaluationData, frozen
from keras_ssl.runs import encoders
from keras_ssl.runs.watch import OUTPUT

_RAW = dict(RAW.values())
SUBJECTS = ("encoder", "random_init", *_RAW)


def evaluate(
    path: str | pathlib.Path,
    evaluations: Sequence[str] = ("knn", "linear"),
    subjects: Sequence[str] = ("encoder",),
    data: str | None = None,
    data_dir: str | None = None,
    train_split: str = "train",
    test_split: str = "test",
    projector_layers: int = 0,
) -> list[dict[str, Any]]:
    """Evaluates and appends to the evaluations.jsonl of the run or beside the export.

    Args:
        path: A run directory or an exported SavedModel.
        evaluations: Registered names.
        subjects: Of `encoder`, `random_init` and `raw_pixels`, or `spectrum` where
            data are recordings.
        data: A labelled source; what the run trained on if None.
        data_dir: Where TFDS keeps data; the run's own if None.
        train_split: Split that probes learn from.
        test_split: Split that they are scored on.
        projector_layers: Layers of the run's projector that follow the encoder, each
            with its norm and ReLU. The lines' subject then says so, as in
            `encoder/projector_1`.

    Returns:
        The new lines of evaluations.jsonl.

    Raises:
        ValueError: If there is no checkpoint, no such source or split, no labels, no
            projector with so many layers, an encoder that was never trained, or one
            that computes something else than when it was saved.
        KeyError: If an evaluation is unknown.
    """
    path = pathlib.Path(path)
    runs = [registry.get("evaluation", name)() for name in evaluations]
    for subject in subjects:
        if subject not in SUBJECTS:
            hint = registry.did_you_mean(subject, SUBJECTS)
            raise ValueError(f"No subject {subject!r}.{hint}")
    _, meta = encoders.read(path, projector_layers)
    if "encoder" in subjects:
        encoders.check_trained(path, meta)
    keras.config.set_dtype_policy(meta["precision"])
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
    _check_baselines(subjects, train.kind)
    both = EvaluationData(train, test, meta["image_size"])
    rows = []
    for subject in subjects:
        encode = _subject(subject, path, meta, projector_layers)
        # Not to be taken for the encoder's own score.
        after = f"/projector_{projector_layers}" if projector_layers else ""
        label = subject if subject in _RAW else subject + after
        for run in runs:
            rows.append(result(run, label, encode, both, meta["step"]))
            run_dir.append_line(path / run_dir.EVALUATIONS, rows[-1])
    return rows


def _check_baselines(subjects: Sequence[str], kind: str) -> None:
    """Raises a ValueError for raw features of another kind of data."""
    for subject in subjects:
        if subject in _RAW and subject != RAW[kind][0]:
            raise ValueError(
                f"{subject!r} is no baseline of {kind} data, whose baseline is "
                f"{RAW[kind][0]!r}."
            )


def _subject(
    name: str, path: pathlib.Path, meta: dict[str, Any], projector_layers: int
) -> Encode:
    if name in _RAW:
        return _RAW[name]
    if name == "random_init":
        return frozen(encoders.build(meta))
    return _trained(path, meta, projector_layers)


def _trained(path: pathlib.Path, meta: dict[str, Any], projector_layers: int) -> Encode:
    """A run's encoder; of an export the SavedModel itself, not a copy of it."""
    if (path / "saved_model.pb").exists():
        serve = tf.saved_model.load(str(path)).signatures["serve_float"]
        (name,) = serve.structured_input_signature[1]

        def encode(examples: tf.Tensor) -> tf.Tensor:
            return serve(**{name: examples})["features"]

        takes = "audio" if name == "waveforms" else "image"
        known = KnownOutput(takes, meta["image_size"], meta["precision"], encode)
        known.check(meta.get(OUTPUT), str(path))
        return encode
    return frozen(encoders.load(path, projector_layers=projector_layers)[0])
