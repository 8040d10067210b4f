"""What recorded runs say: scores, statistics over seeds, and one table a protocol."""

import dataclasses
import json
import pathlib
import statistics
from typing import Any

from keras_ssl.core import config, gin_text, run_dir
from keras_ssl.evaluation.intervals import Interval, interval
from keras_ssl.evaluation.results import headline

PROOF = "proof.json"
FAILURE = "failure.json"
REASON = "reason.txt"
SUBJECTS = ("encoder", "random_init", "raw_pixels")


def final(folder: pathlib.Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Scores of a run's baselines and of its encoder at the end.

    Args:
        folder: Holds run.json and evaluations.jsonl.

    Returns:
        Lines of evaluations.jsonl by subject and evaluation. The run's own come first;
        what was scored later, perhaps on other data, does not count.
    """
    steps = run_dir.read_json(folder / run_dir.RUN).get("total_steps")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in run_dir.read_lines(folder / run_dir.EVALUATIONS):
        if row["step"] == (steps if row["subject"] == "encoder" else 0):
            found.setdefault((row["subject"], row["evaluation"]), row)
    return found


@dataclasses.dataclass
class Run:
    """One finished run as it is recorded.

    Attributes:
        method: Name of its recipe.
        folder: The record.
        content: run.json.
        scores: See `final`.
        protocol: What it must share with others to stand in one table.
    """

    method: str
    folder: pathlib.Path
    content: dict[str, Any]
    scores: dict[tuple[str, str], dict[str, Any]]
    protocol: dict[str, Any]

    @property
    def images_per_second(self) -> float:
        """Median over the run."""
        rows = run_dir.read_lines(self.folder / run_dir.METRICS)
        return statistics.median(row["images_per_second"] for row in rows)

    @property
    def seconds(self) -> float:
        """What it took in all sittings, each up to its last save."""
        rows = run_dir.read_lines(self.folder / run_dir.METRICS)
        spent, begun = self.content["seconds"]["total"], 0
        for step in self.content.get("resumed_at", []):
            sitting = [r["seconds"] for r in rows if begun < r["step"] <= step]
            spent, begun = spent + (sitting[-1] if sitting else 0.0), step
        return spent

    @property
    def memory(self) -> float:
        """Peak bytes, on the accelerator where there is one."""
        peak = self.content["peak_memory"]
        return max(
            (n for place, n in peak.items() if place != "process"), default=0
        ) or (peak.get("process", 0))

    @property
    def recipe(self) -> str:
        """All that was bound."""
        path = self.folder / run_dir.CONFIG
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def views(self) -> str:
        """What makes its views, as its recipe calls it."""
        bound = (b for b in gin_text.read(self.recipe) if str(b) == "train.views")
        return next((gin_text.show(b.value).removeprefix("@") for b in bound), "")


def read(method: str, folder: pathlib.Path) -> Run:
    """Reads a record.

    Args:
        method: Name of its recipe.
        folder: The record of a finished run.

    Raises:
        ValueError: If it lacks a score or its scores are of different protocols.
    """
    content, scores = run_dir.read_json(folder / run_dir.RUN), final(folder)
    evaluations = list(dict.fromkeys(name for _, name in scores))
    for name in evaluations or ["knn"]:
        for subject in SUBJECTS:
            if (subject, name) not in scores:
                raise ValueError(
                    f"{folder} has no {name} of {subject}, which a proof needs. Remove "
                    "the record and let the run be scored by OnlineEvaluation."
                )
            one, other = (scores[s, name]["protocol"] for s in ("encoder", subject))
            if changed := differences(one, other):
                raise ValueError(
                    f"{folder}: {name} of encoder and {subject} were scored "
                    f"differently: {'; '.join(changed)}. Remove the record and run "
                    "it anew."
                )
    encoder = content["encoder"]
    shape = {k: v for k, v in encoder["config"].items() if k != "name"}
    data = {k: v for k, v in content["data"].items() if k != "unreadable"}
    protocol = {
        "encoder": {
            "name": encoder["name"],
            **shape,
            "parameters": content["parameters"]["encoder"],
        },
        "data": data,
        "epochs": content["total_steps"] / content["steps_per_epoch"],
        "precision": content["precision"],
        "init_from": content["init_from"],
        "evaluations": {
            name: scores["encoder", name]["protocol"] for name in evaluations
        },
    }
    return Run(method, folder, content, scores, protocol)


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """What differs between two protocols, as `knn.k: 20, 5`, sorted."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else [f"{name}: {_short(one)}, {_short(other)}"]
    return [
        line
        for key in sorted({*one, *other})
        for line in differences(
            one.get(key), other.get(key), f"{name}.{key}" if name else key
        )
    ]


def _short(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


@dataclasses.dataclass
class Table:
    """Runs of one protocol.

    Attributes:
        protocol: What all of them share.
        methods: Their runs by recipe, each with one or more seeds.
    """

    protocol: dict[str, Any]
    methods: dict[str, list[Run]]

    @property
    def evaluations(self) -> list[str]:
        """Names of the evaluations."""
        return list(self.protocol["evaluations"])

    def score(self, subject: str, evaluation: str, method: str) -> Interval:
        """The score of a subject over a method's seeds."""
        runs = self.methods[method]
        return interval([headline(r.scores[subject, evaluation]) for r in runs])

    def raw_pixels(self, evaluation: str) -> float:
        """The score of raw pixels, which no method and no seed changes."""
        method = next(iter(self.methods))
        return self.score("raw_pixels", evaluation, method).mean

    def gain(self, method: str, evaluation: str) -> float:
        """Mean score above the better baseline."""
        trained, *baselines = (
            self.score(subject, evaluation, method).mean for subject in SUBJECTS
        )
        # Scores have six digits: a gain of 0.04 is not short of it by a rounding.
        return round(trained - max(baselines), 6)

    def best(self, method: str) -> tuple[str, float]:
        """The evaluation with the greatest gain, and that gain."""
        gains = {name: self.gain(method, name) for name in self.evaluations}
        return max(gains.items(), key=lambda item: item[1])


def tables(folder: pathlib.Path) -> list[Table]:
    """Groups the finished runs of a proof by all that makes scores comparable.

    Args:
        folder: Holds `<method>/seed<k>/` with the small records.

    Returns:
        Tables, that with most methods first. Runs whose encoder, data, epochs,
        precision or evaluation differ never share one.

    Raises:
        ValueError: If a record is incomplete, or a method's seeds differ in its recipe.
    """
    found: dict[str, Table] = {}
    for path in sorted(folder.glob(f"*/seed*/{run_dir.RUN}"), key=_by_seed):
        if run_dir.read_json(path)["status"] != "finished":
            continue
        run = read(path.parts[-3], path.parent)
        key = json.dumps(run.protocol, sort_keys=True)
        table = found.setdefault(key, Table(run.protocol, {}))
        seeds = table.methods.setdefault(run.method, [])
        if seeds and (changed := config.differences(seeds[0].recipe, run.recipe)):
            raise ValueError(
                f"{run.folder} is not of the recipe of {seeds[0].folder.name}: "
                f"{'; '.join(changed[:3])}. Remove the older record and its run, and "
                "run it anew."
            )
        seeds.append(run)
    return sorted(found.values(), key=lambda table: -len(table.methods))


def failures(folder: pathlib.Path) -> dict[tuple[str, str], str]:
    """Why runs did not finish, by method and seed."""
    return {
        (path.parts[-3], path.parts[-2].removeprefix("seed")): run_dir.read_json(path)[
            "error"
        ]
        for path in sorted(folder.glob(f"*/seed*/{FAILURE}"), key=_by_seed)
    }


def _by_seed(path: pathlib.Path) -> tuple[str, int]:
    return path.parts[-3], int(path.parts[-2].removeprefix("seed"))
