"""Runs side by side: the settings that differ, and the scores."""

import csv
import dataclasses
import glob
import io
import json
import os
import pathlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_ssl.core import console, run_dir
from keras_ssl.evaluation.results import headline
from keras_ssl.runs import evaluation_table, run_settings, score_table

Table = list[dict[str, str]]
FORMATS = ("text", "markdown", "csv", "json")
# Wider cells become several lines; a narrow terminal may ask for narrower ones.
_WIDEST, _LEAST = 36, 16


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What differs between runs, and how they score.

    Attributes:
        settings: A line a setting: its name, and its value in each run.
        scores: A line a run, or one of its baselines; a column an evaluation under
            one protocol. See `score_table.table`.
        protocols: A line a column of scores: what it was measured on.
        notes: Sentences: which runs are not finished, which have no evaluation.
        content: The same as JSON can hold it, with numbers as they were recorded.
    """

    settings: Table
    scores: Table
    protocols: Table
    notes: list[str]
    content: dict[str, Any]


def compare(paths: Sequence[str | os.PathLike[str]], every: bool = False) -> Comparison:
    """Sets runs side by side.

    Args:
        paths: Run directories, exports, or patterns of them such as `runs/*`. Plain
            files, which a pattern may bring along, are passed over.
        every: Whether to show settings that are the same everywhere, too. Those of a
            run that is alone are always shown.

    Raises:
        ValueError: If there is no run, or a path is no run.
    """
    runs = _found(paths)
    names = _names(runs)
    settings = {
        n: run_settings.settings(run) for n, run in zip(names, runs, strict=True)
    }
    shown = run_settings.differing(list(settings.values()))
    if every or len(runs) == 1:
        shown = run_settings.names(list(settings.values()))
    elif not all(map(run_settings.is_finished, settings.values())):
        shown = list(dict.fromkeys([run_settings.STATE, run_settings.STEPS, *shown]))
    rows = {
        name: evaluation_table.at_the_end(run_dir.read_lines(run / run_dir.EVALUATIONS))
        for name, run in zip(names, runs, strict=True)
    }
    unfinished = {n: s for n, s in settings.items() if not run_settings.is_finished(s)}
    labelled = [
        (_label(name, row, unfinished), row) for name in names for row in rows[name]
    ]
    return Comparison(
        [{"setting": k} | {n: settings[n].get(k, "") for n in names} for k in shown],
        score_table.table(labelled),
        _protocols(row for _, row in labelled),
        _notes(unfinished, [name for name in names if not rows[name]]),
        {
            "runs": dict(zip(names, map(str, runs), strict=True)),
            "unfinished": list(unfinished),
            "settings": {k: {n: settings[n].get(k) for n in names} for k in shown},
            "scores": [_score(name, row) for name in names for row in rows[name]],
        },
    )


def _found(paths: Sequence[str | os.PathLike[str]]) -> list[pathlib.Path]:
    """Directories, each once."""
    found: dict[pathlib.Path, None] = {}
    for path in (os.fspath(p) for p in paths):
        matches = [path] if os.path.exists(path) else sorted(glob.glob(path))
        if not matches:
            raise ValueError(f"There is no run {path!r}.")
        found |= dict.fromkeys(pathlib.Path(m) for m in matches if os.path.isdir(m))
    if not found:
        given = f"{', '.join(map(str, paths))} is none" if paths else "none was given"
        raise ValueError(f"At least one run directory is needed, and {given}.")
    return list(found)


def _names(runs: Sequence[pathlib.Path]) -> list[str]:
    """The last parts of paths, as many as tell them apart."""
    parts = [run.resolve().parts for run in runs]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-count:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    # Two ways to one directory.
    return list(map(str, runs))


def _label(
    name: str, row: Mapping[str, Any], unfinished: Mapping[str, Mapping[str, str]]
) -> str:
    """What to call what was scored: a run, or a baseline beside it."""
    if row["subject"] != "encoder":
        name += f", {row['subject']}"
    # A baseline is what it is, however far the run came.
    elif name in unfinished:
        name += f" (step {row.get('step', 0):,}, not finished)"
    return name


def _notes(
    unfinished: Mapping[str, Mapping[str, str]], unscored: Sequence[str]
) -> list[str]:
    notes = [
        f"{name} is not finished: {s[run_settings.STATE]}, step "
        f"{s.get(run_settings.STEPS, 'not known')}."
        for name, s in unfinished.items()
    ]
    if unscored:
        notes.append(f"Without any evaluation: {', '.join(unscored)}.")
    return notes


def _protocols(rows: Iterable[Mapping[str, Any]]) -> Table:
    found = {}
    for row in rows:
        name, data, measure, mark = evaluation_table.key(row)
        found[name, measure, mark] = {
            "protocol": mark,
            "evaluation": f"{name} {measure}",
            "data": data,
            "train / val / test": evaluation_table.images(row),
        }
    return list(found.values())


def _score(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    protocol = row["protocol"]
    return {
        "run": name,
        "subject": row["subject"],
        "evaluation": row["evaluation"],
        "measure": row.get("score", "top1"),
        "score": headline(row),
        "seed": protocol.get("seed"),
        "step": row.get("step"),
        "fingerprint": evaluation_table.key(row)[-1],
    }


def written(found: Comparison, format: str = "text", width: int | None = None) -> str:
    """A comparison as text.

    Args:
        found: The comparison.
        format: `text`, `markdown`, `csv` or `json`.
        width: Of a terminal, whose lines `text` does not exceed where that can be;
            wide tables are then continued below.

    Raises:
        ValueError: If there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}.")
    if format == "json":
        return json.dumps(found.content, indent=2)
    tables = [t for t in (found.settings, found.scores, found.protocols) if t]
    if format == "csv":
        return "\n".join(map(_csv, tables)).rstrip()
    parts = [
        _markdown(table) if format == "markdown" else _fitted(table, width)
        for table in tables
    ]
    if not found.settings:
        parts.insert(0, "No setting differs.")
    return "\n\n".join([*parts, *filter(None, ["\n".join(found.notes)])])


def _fitted(table: Table, width: int | None) -> str:
    """Columns beside the first one as far as they fit, the others below."""
    first, *others = dict.fromkeys(key for row in table for key in row)
    blocks: list[list[str]] = [[]]
    cell = _WIDEST
    if width:
        left = width - max(len(row[first]) for row in table)
        cell = min(_WIDEST, max(_LEAST, left // len(others) - 2))
    for column in others:
        tried = _lines(table, [first, *blocks[-1], column], cell)
        if width and blocks[-1] and max(map(len, tried.splitlines())) > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(_lines(table, [first, *block], cell) for block in blocks)


def _lines(table: Table, columns: Sequence[str], widest: int) -> str:
    """A table of some columns; rows that have nothing in them are left out."""
    made: Table = []
    for row in table:
        if len(columns) > 1 and not any(row.get(c) for c in columns[1:]):
            continue
        cells = {columns[0]: [row[columns[0]]]} | {
            c: textwrap.wrap(row.get(c, ""), widest, break_on_hyphens=False) or [""]
            for c in columns[1:]
        }
        height = max(map(len, cells.values()))
        made += [
            {c: "".join(part[i : i + 1]) for c, part in cells.items()}
            for i in range(height)
        ]
    return console.table(made)


def _markdown(table: Table) -> str:
    columns = list(dict.fromkeys(key for row in table for key in row))

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rows = ([row.get(c, "") for c in columns] for row in table)
    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def _csv(table: Table) -> str:
    columns = list(dict.fromkeys(key for row in table for key in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()
