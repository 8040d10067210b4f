"""Scores a run or an export on a suite of data sets, and says which are missing."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keras_ssl.core import console, registry, run_dir
from keras_ssl.data import sources
from keras_ssl.data.prepare import is_prepared
from keras_ssl.evaluation import results, suites
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.leakage import Leakage
from keras_ssl.evaluation.raw import RAW
from keras_ssl.evaluation.suites import Task
from keras_ssl.evaluation.transfer import Transfer
from keras_ssl.runs import evaluate, fits, leaking

Row = dict[str, Any]


class Outcome(NamedTuple):
    """Lines of evaluations.jsonl by task, new and old; and what to prepare, by task."""

    rows: list[Row]
    missing: dict[str, str]


def transfer(
    path: str | pathlib.Path,
    suite: str = "transfer",
    data_dir: str | None = None,
    given: Sequence[str] = (),
    subjects: Sequence[str] = ("encoder",),
    image_size: int | None = None,
    leakage: bool = True,
    evaluation: Transfer | None = None,
) -> Outcome:
    """Scores on the sets of a suite that are there, and appends to evaluations.jsonl.

    What is there already under the same fingerprint is not scored again, so that the
    same command goes on where it was stopped.

    Args:
        path: A run directory or an exported SavedModel.
        suite: Name of a suite.
        data_dir: Where TFDS keeps data; the run's own if None.
        given: `TASK=SOURCE`: where a data set is, such as
            `Birdsnap=folder:/data/birdsnap?labels=folders`.
        subjects: As for `evaluate`.
        image_size: Side of the images that are encoded; the run's own if None.
        leakage: Whether to look for test images in what the run was pretrained on.
        evaluation: How they are scored; the measure is each task's own.

    Returns:
        The lines of all tasks that are scored now, and what to do for the others.

    Raises:
        ValueError: If the run, the suite or a task's data do not fit.
    """
    path = pathlib.Path(path)
    tasks = _given(suites.get(suite), given)
    meta = evaluate.opened(path, subjects)
    data_dir = data_dir or run_dir.read_json(path / run_dir.RUN).get("data_dir")
    missing = {t.name: why for t in tasks if (why := _missing(t, data_dir))}
    there = [task for task in tasks if task.name not in missing]
    leaks = _leaks(path, meta, data_dir) if leakage and there else None
    scoring = _Scoring(path, meta, evaluation or Transfer(), leaks)
    size = meta["image_size"] if image_size is None else image_size
    progress = _Progress(there, len(subjects))
    rows = []
    for task in there:
        data = _data(task, data_dir, size)
        evaluate.check_baselines(subjects, data.train.kind)
        fits.check_fits(meta, data.train, size)
        for subject in subjects:
            rows.append(scoring.row(task, subject, data, progress))
        data.forget()
    return Outcome(rows, missing)


def table(outcome: Outcome) -> list[dict[str, str]]:
    """A line a data set, a column for each subject; a line has one protocol."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in outcome.rows:
        splits = row["protocol"]
        shown = [splits[k]["images"] for k in ("train", "val", "test") if k in splits]
        line = lines.setdefault(
            (row["task"], row["fingerprint"]),
            {"data set": row["task"], "measure": row["score"]},
        )
        line[row["subject"]] = f"{results.headline(row):.3f}"
        line["images"] = " / ".join(f"{count:,}" for count in shown)
        if beside := row.get("leakage"):
            line["near duplicates"] = f"{beside['near_duplicates']} of {beside['of']}"
    return list(lines.values())


class _Scoring:
    """Scores a task unless that was done."""

    def __init__(
        self,
        path: pathlib.Path,
        meta: Mapping[str, Any],
        evaluation: Transfer,
        leaks: Leakage | None,
    ) -> None:
        self.path, self.meta, self.evaluation = path, dict(meta), evaluation
        self.leaks = leaks
        self.encoders: dict[tuple[str, int], Any] = {}
        known = run_dir.read_lines(path / run_dir.EVALUATIONS)
        self.known = {self._key(row): row for row in known}

    def row(
        self, task: Task, subject: str, data: EvaluationData, progress: "_Progress"
    ) -> Row:
        """The line of a task, new or as it is there."""
        evaluation = dataclasses.replace(self.evaluation, score=task.score)
        if isinstance(task.val, int):
            evaluation = dataclasses.replace(evaluation, held_out=task.val)
        results.check(evaluation, data)
        name, _, mark = results.described(evaluation, data)
        key = (name, subject, self.meta["step"], mark)
        if key in self.known:
            progress.passed(task, subject, self.known[key])
            return {"task": task.name, **self.known[key]}
        encode = self._encode(subject, data.size)
        raw = subject == RAW[data.train.kind][0]
        leaks = None if raw or data.train.kind != "image" else self.leaks
        row = results.result(
            evaluation, subject, encode, data, self.meta["step"], leaks
        )
        row = {"task": task.name, **row}
        if leaks is not None:
            self._draw(task, data)
        run_dir.append_line(self.path / run_dir.EVALUATIONS, row)
        progress.scored(task, subject, row)
        return row

    def _encode(self, subject: str, size: int) -> Any:
        """Features of a subject, made once."""
        if (subject, size) not in self.encoders:
            self.encoders[subject, size] = evaluate.subject_of(
                subject, self.path, self.meta, size=size
            )
        return self.encoders[subject, size]

    def _draw(self, task: Task, data: EvaluationData) -> None:
        if self.leaks is not None:
            found = self.leaks.of(data.test, data.test_limit)
            file = f"near_duplicates_{task.name.lower().replace(' ', '_')}.png"
            leaking.draw(self.path / file, self.leaks, data.test, found, 24)

    @staticmethod
    def _key(row: Row) -> tuple[Any, ...]:
        return row["evaluation"], row["subject"], row["step"], row.get("fingerprint")


class _Progress:
    """Says what was scored, and how long the rest will take."""

    def __init__(self, tasks: Sequence[Task], subjects: int) -> None:
        # Most of the time goes with the number of images.
        self.work = {task.name: sum(task.images or (10_000,)) for task in tasks}
        self.left = subjects * sum(self.work.values())
        self.done, self.begun = 0, time.perf_counter()

    def passed(self, task: Task, subject: str, row: Row) -> None:
        """It was there already."""
        self.left -= self.work[task.name]
        self._say(task, subject, row, "scored before")

    def scored(self, task: Task, subject: str, row: Row) -> None:
        """It took its time."""
        self.left -= self.work[task.name]
        self.done += self.work[task.name]
        rest = (time.perf_counter() - self.begun) / self.done * self.left
        self._say(task, subject, row, f"about {console.duration(rest)} left")

    def _say(self, task: Task, subject: str, row: Row, more: str) -> None:
        score = f"{row['score']} {results.headline(row):.3f}"
        console.say(f"{task.name}: {subject} {score} ({more})")


def _leaks(
    path: pathlib.Path, meta: dict[str, Any], data_dir: str | None
) -> Leakage | None:
    """What looks for near duplicates; None, and a word why, where it cannot be."""
    kind, _, name = ((meta.get("data") or {}).get("source") or "").partition(":")
    try:
        if kind == "tfds" and not is_prepared(name, data_dir):
            raise ValueError(f"{kind}:{name}, what it was pretrained on, is not here.")
        return leaking.of_run(path, meta, data_dir)
    except ValueError as error:
        console.say(f"Near duplicates are not looked for: {error}")
        return None


def _given(tasks: Sequence[Task], given: Sequence[str]) -> list[Task]:
    """Tasks with the data that the user has said.

    Raises:
        ValueError: If no task is called so.
    """
    found = {task.name: task for task in tasks}
    for words in given:
        name, equals, data = words.partition("=")
        if not equals or name not in found:
            hint = registry.did_you_mean(name, list(found))
            raise ValueError(
                "Data of a suite are given as 'NAME=SOURCE', such as "
                f"'{tasks[0].name}=folder:DIR?labels=folders'; got {words!r}.{hint}"
            )
        found[name] = dataclasses.replace(found[name], data=data)
    return list(found.values())


def _missing(task: Task, data_dir: str | None) -> str:
    """What to do before a task can be scored; empty if it can."""
    if not task.data:
        splits = ", ".join([task.train, str(task.val), task.test])
        count = "" if task.images is None else f" ({sum(task.images):,} images)"
        return (
            f"not in TFDS{count}. Put it in folders {splits}, in each one a class, "
            f"and give it: --given='{task.name}=folder:DIR?labels=folders'"
        )
    kind, _, name = task.data.partition(":")
    if kind != "tfds" or is_prepared(name, data_dir):
        return ""
    bare, where = name.partition("?")[0], f" --data_dir={data_dir}" if data_dir else ""
    size = "" if task.download is None else f" ({task.download:g} GB to download)"
    return f"not on disk. Prepare it{size}: tfds build {bare}{where}"


def _data(task: Task, data_dir: str | None, size: int) -> EvaluationData:
    def opened(split: str) -> sources.Source:
        return sources.open_source(task.data, split, data_dir)

    train, test = opened(task.train), opened(task.test)
    val = opened(task.val) if isinstance(task.val, str) else None
    # Recordings have no sides.
    image = train.kind == "image"
    return EvaluationData(train, test, size, val=val, short_side=image)
