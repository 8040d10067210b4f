"""What runs wrote about themselves, for a report: records, and facts in words."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from keras_ssl.core import console, registry, run_dir
from keras_ssl.export.saved_model import WEIGHTS
from keras_ssl.runs import encoders, resolved, run_settings

NO = "not recorded"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The records of one run.

    Attributes:
        label: What to call it, unlike any other of the report.
        path: Its directory.
        record: run.json, or what an export knows of that.
        metrics: Lines of metrics.jsonl.
        scores: Lines of evaluations.jsonl.
        health: Lines of health.jsonl.
        settings: Its configuration, as gin; empty if there is none.
    """

    label: str
    path: pathlib.Path
    record: dict[str, Any]
    metrics: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    health: list[dict[str, Any]]
    settings: str

    def picture(self, name: str) -> bytes | None:
        """A picture that the run left, if it did."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None


def read(paths: Sequence[str]) -> list[Recorded]:
    """Reads the records of runs.

    Args:
        paths: Run directories, or exports.

    Raises:
        ValueError: If there is none, one is named twice, is neither, or is damaged.
    """
    if not paths:
        raise ValueError("A report needs at least one --run_dir.")
    places = [pathlib.Path(path) for path in paths]
    for place in places:
        if not place.is_dir():
            raise ValueError(f"There is no run {str(place)!r} (from {place.cwd()}).")
        if not any((place / name).exists() for name in (run_dir.RUN, WEIGHTS)):
            raise ValueError(
                f"{place} is neither a run (no {run_dir.RUN}) nor an export (no "
                f"{WEIGHTS})."
            )
    whole = [place.resolve() for place in places]
    for place in whole:
        if whole.count(place) > 1:
            raise ValueError(f"{place} is given twice; give each run once.")
    return [_one(*pair) for pair in zip(_labels(whole), places, strict=True)]


def _one(label: str, path: pathlib.Path) -> Recorded:
    found = [path / n for n in (run_dir.OPERATIVE, run_dir.CONFIG)]
    return Recorded(
        label,
        path,
        run_dir.read_json(path / run_dir.RUN) or _of_export(path),
        run_dir.read_lines(path / run_dir.METRICS),
        run_dir.read_lines(path / run_dir.EVALUATIONS),
        run_dir.read_lines(path / run_dir.HEALTH),
        next((run_dir.read_text(f) for f in found if f.exists()), ""),
    )


def _of_export(path: pathlib.Path) -> dict[str, Any]:
    """What an export knows of itself, as the record of a run has it."""
    _, meta = encoders.read(path)
    kept = ("method", "data", "precision", "init_from")
    return {
        **{name: meta.get(name) for name in kept if meta.get(name)},
        "encoder": meta,
        "total_steps": meta.get("step"),
        "status": "export",
    }


def _labels(places: Sequence[pathlib.Path]) -> list[str]:
    """The shortest end of each path that no other one has."""
    counts = range(1, max(len(p.parts) for p in places) + 1)
    ends = [["/".join(p.parts[-count:]) for count in counts] for p in places]
    others = [[end for o in ends if o is not mine for end in o] for mine in ends]
    return [
        next((end for end in mine if end not in set(theirs)), mine[-1])
        for mine, theirs in zip(ends, others, strict=True)
    ]


def facts(run: Recorded) -> dict[str, str]:
    """What was run, line by line; the same names for all runs.

    Args:
        run: Its records.
    """
    record = run.record
    encoder, data = record.get("encoder", {}), record.get("data", {})
    numbers = record.get("parameters", {})
    steps, epoch = record.get("total_steps"), record.get("steps_per_epoch")
    seconds, memory = record.get("seconds", {}), record.get("peak_memory", {})
    versions = record.get("versions", {})
    found = {
        **_method(record.get("method")),
        "Encoder": _join(
            encoder.get("name"),
            _count(numbers.get("encoder"), "parameters"),
            _count(encoder.get("feature_dim"), "features"),
        ),
        "Trained in all": _count(numbers.get("trained"), "parameters"),
        "Data": _join(
            data.get("source"),
            data.get("split") and f"split {data['split']}",
            _count(data.get("images"), "examples"),
        ),
        "Data fingerprint": data.get("fingerprint"),
        "Side of a view": _count(encoder.get("image_size"), "pixels"),
        "Steps": _join(
            _count(steps, "steps"),
            f"{steps / epoch:.3g} epochs" if steps and epoch else None,
        ),
        "Batch": _count(record.get("batch_size"), "examples"),
        **_rates(record.get("resolved", {})),
        "Precision": record.get("precision"),
        "Seed": record.get("seed"),
        "Started from": record.get("init_from") or ("nothing" if record else None),
        "Status": _status(record),
        "Took": _join(
            seconds.get("total") and console.duration(seconds["total"]),
            f"of it training {console.duration(seconds['training'])}"
            if seconds.get("training")
            else None,
        ),
        "Peak memory": memory.get("process") and console.size(memory["process"]),
        "Devices": record.get("devices"),
        "Commit": record.get("commit"),
        "Versions": _join(
            record.get("python") and f"python {record['python']}",
            *(f"{name} {version}" for name, version in sorted(versions.items())),
        ),
        "Weights digest": record.get("weights_digest"),
    }
    return {k: NO if v in (None, "") else str(v) for k, v in found.items()}


def _method(name: str | None) -> dict[str, str | None]:
    entries = {entry.name: entry for entry in registry.entries("method")}
    entry = entries.get(name or "")
    about: Any = entry and entry.target
    return {
        "Method": _join(name, entry and entry.summary, sep=": "),
        "Paper": about and f"{about.year}, {about.paper.removeprefix('https://')}",
        "Family": about and about.family,
    }


def _rates(found: dict[str, Any]) -> dict[str, str | None]:
    names = ("optimizer", "rate", "weight decay", "warm-up")
    rows = resolved.text(found) if found else {}
    return {name.capitalize(): rows.get(name) for name in names}


def _status(record: dict[str, Any]) -> str | None:
    resumed = record.get("resumed")
    return _join(
        record.get("status"),
        record.get("stopped") and f"by {record['stopped']}",
        f"resumed {resumed} times" if resumed else None,
    )


def _join(*parts: Any, sep: str = ", ") -> str | None:
    return sep.join(str(part) for part in parts if part) or None


def _count(number: int | None, what: str) -> str | None:
    return None if number is None else f"{number:,} {what}"


def differing(runs: Sequence[Recorded]) -> list[list[str]]:
    """Settings that are not the same in all runs: a name, and a value for each run.

    Args:
        runs: Their records; what `facts` says of them is left out.

    Raises:
        ValueError: If a file is damaged.
    """
    found = [run_settings.settings(run.path) for run in runs]
    # What is bound has a dot; and an encoder is made of more than its name.
    names = [
        name
        for name in run_settings.differing(found)
        if "." in name or name.startswith("encoder ")
    ]
    return [[name, *(each.get(name, "not set") for each in found)] for name in names]
