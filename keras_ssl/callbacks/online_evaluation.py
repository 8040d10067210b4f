"""Scores the encoder while it trains, beside what needs no training."""

import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.pictures import draw_curves, draw_map
from keras_ssl.core import console, distribute, run_dir
from keras_ssl.core.registry import register
from keras_ssl.evaluation import results
from keras_ssl.evaluation.data import EvaluationData, Features, Frozen
from keras_ssl.evaluation.raw import RAW


@register("callback")
class OnlineEvaluation(keras.callbacks.Callback):
    """Runs evaluations before, during and after training.

    Before training the untrained encoder and raw pixels (of recordings the mean
    spectrum) are scored, the baselines; at the end the trained encoder, on the same
    images; in between a few of them, so that it costs little. Test features of
    two numbers are drawn as a map, each time anew. `tools/evaluate.py` scores a
    run on whole sets.

    Args:
        evaluations: Evaluations with `run(encode, data)` and `protocol()`.
        data: A labelled source; the run's own if None.
        train_split: Split that probes learn from.
        test_split: Split that they are scored on.
        every_epochs: Epochs between evaluations; 0 for none but the last.
        limits: Most train and test images used before and after training.
        online_limits: Most train and test images used in between.

    Raises:
        ValueError: If there is no evaluation or a number is out of range.
    """

    def __init__(
        self,
        evaluations: Sequence[Any],
        data: str | None = None,
        train_split: str = "train",
        test_split: str = "test",
        every_epochs: int = 5,
        limits: tuple[int, int] = (10_000, 10_000),
        online_limits: tuple[int, int] = (2500, 500),
    ) -> None:
        super().__init__()
        if not evaluations:
            raise ValueError("OnlineEvaluation needs at least one evaluation.")
        if every_epochs < 0 or min(*limits, *online_limits) < 1:
            raise ValueError(
                "every_epochs must be at least 0 and the limits at least 1; got "
                f"{every_epochs}, {limits} and {online_limits}."
            )
        self.evaluations = tuple(evaluations)
        self.data, self.every_epochs = data, every_epochs
        self.train_split, self.test_split = train_split, test_split
        self.limits, self.online_limits = limits, online_limits
        self.seconds = 0.0
        self.results: list[dict[str, Any]] = []

    def open(
        self,
        directory: pathlib.Path,
        whole: EvaluationData,
        writer: tf.summary.SummaryWriter,
    ) -> None:
        """Says where results go and what they are measured on.

        Args:
            directory: The run's directory.
            whole: What is scored before and after training.
            writer: TensorBoard's.

        Raises:
            ValueError: If an evaluation cannot take the data.
        """
        for evaluation in self.evaluations:
            results.check(evaluation, whole)
        self.directory, self.whole, self.writer = directory, whole, writer
        self.part = EvaluationData(
            whole.train,
            whole.test,
            whole.size,
            *self.online_limits,
        )
        self.results = run_dir.read_lines(directory / run_dir.EVALUATIONS)

    def score(
        self, subject: str, encode: Any, data: EvaluationData, step: int | None = None
    ) -> None:
        """Runs every evaluation that has no result yet, and records the results.

        Args:
            subject: What is scored, such as `encoder`.
            encode: Maps images to features.
            data: What it is scored on.
            step: Step that the results are of; the current one by default.
        """
        step = self.step() if step is None else step
        due = [e for e in self.evaluations if not self._has(e, subject, data, step)]
        if not due:
            return
        if subject == "encoder":
            # First of all: where there is a result there is a map.
            features = data.features(encode, several=True)
            one = not data.test.multi_label
            if one and features.test.shape[1] == 2 and distribute.is_chief():
                self._draw_map(features, data.test.classes or (), step)
        text = []
        for evaluation in due:
            row = results.result(evaluation, subject, encode, data, step)
            known = any(
                (r["step"], r["subject"]) == (step, subject) for r in self.results
            )
            self.results.append(row)
            score = results.headline(row)
            text.append(f"{row['evaluation']} {row['score']} {score:.3f}")
            self._show(row, not known)
            if distribute.is_chief():
                run_dir.append_line(self.directory / run_dir.EVALUATIONS, row)
        data.forget()
        if console.interactive():
            console.overwrite("")
        console.say(f"step {step}  {subject}: {', '.join(text)}")

    def _show(self, row: dict[str, Any], first: bool) -> None:
        """Tells TensorBoard; of health the first evaluation of a subject is enough."""
        with self.writer.as_default(row["step"]):
            name = f"{row['evaluation']}/{row['subject']}"
            tf.summary.scalar(name, results.headline(row))
            if first and row["subject"] == "encoder":
                for name, value in row["health"].items():
                    tf.summary.scalar(f"features/test_{_SHORT.get(name, name)}", value)
        # Before there is a row, behind which nobody looks again.
        self.writer.flush()

    def _has(
        self, evaluation: Any, subject: str, data: EvaluationData, step: int
    ) -> bool:
        """Whether an earlier sitting has a result, of the same protocol."""
        name, protocol, _ = results.described(evaluation, data)
        key = (step, name, subject)
        found = [
            row
            for row in self.results
            if (row["step"], row["evaluation"], row["subject"]) == key
        ]
        # As JSON has it: no tuples.
        mine = json.loads(json.dumps(protocol)) if found else {}
        return any(
            all(mine.get(name, value) == value for name, value in theirs.items())
            for theirs in (json.loads(json.dumps(row["protocol"])) for row in found)
        )

    def _draw_map(self, features: Features, classes: Sequence[str], step: int) -> None:
        """Draws features of two numbers, which need no other projection to be seen."""
        path = self.directory / run_dir.MAP
        drawn = draw_map(path, features.test, features.test_labels, classes)
        with self.writer.as_default(step):
            tf.summary.image("map", drawn[None])

    def begin(self) -> None:
        """Scores the baselines, as far as no earlier sitting of the run has."""
        self.encode = Frozen(self.model.product)
        raw, encode = RAW[self.whole.train.kind]
        if not any(row["subject"] == raw for row in self.results):
            console.say("Scoring the baselines first.")
        self.score(raw, encode, self.whole, 0)
        if self.step() == 0:
            self.score("random_init", self.encode, self.whole)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        last = epoch + 1 == self.params["epochs"]
        if self.every_epochs and (epoch + 1) % self.every_epochs == 0 and not last:
            start = time.perf_counter()
            self.score("encoder", self.encode, self.part)
            self.seconds += time.perf_counter() - start

    def finish(self) -> None:
        """Scores the trained encoder on the whole splits, as far as that is not done.

        And draws how the scores came about.
        """
        self.score("encoder", self.encode, self.whole)
        if distribute.is_chief():
            draw_curves(self.directory)

    def best(self) -> dict[str, dict[str, Any]]:
        """The best result of the encoder in each evaluation, over all sittings.

        Returns:
            By evaluation its score, `step` (the earliest of equals) and `images`: on
            how many test images that was; in between they are fewer than at the end.
        """
        found: dict[str, dict[str, Any]] = {}
        mine = (self.whole.test.name, self.whole.test.split)
        for row in self.results:
            test = row["protocol"]["test"]
            # Others were scored by hand, on other data.
            if row["subject"] == "encoder" and (test["data"], test["split"]) == mine:
                best = found.get(row["evaluation"])
                name, score = row.get("score", "top1"), results.headline(row)
                if best is None or score > best[name]:
                    found[row["evaluation"]] = {
                        name: score,
                        "step": row["step"],
                        "images": test["images"],
                    }
        return found

    def step(self) -> int:
        """Updates made so far."""
        return int(self.model.optimizer.iterations.numpy())


# As the signs of health are called, which are those of training images.
_SHORT = {"feature_std": "std", "rankme": "rank"}
