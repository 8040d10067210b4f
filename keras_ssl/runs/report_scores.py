"""Scores of runs as tables of a page; what does not compare shares no line."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_ssl.runs import evaluation_table
from keras_ssl.runs.report_html import note, table, text
from keras_ssl.runs.report_records import Recorded

# What lines of evaluations.jsonl have beside their numbers.
_ABOUT = (
    *("step", "evaluation", "subject", "score", "task", "health", "protocol"),
    *("fingerprint", "leakage", "top1"),
)
# Columns of a table of evaluations before and after the scores.
_BEFORE = ("evaluation", "data", "train / val / test", "measure")
_BEHIND = ("near duplicates", "protocol")
_NAMES = {"encoder": "trained", "random_init": "untrained"}
_NONE = "no evaluation was recorded; tools/evaluate.py makes them."


def tables(runs: Sequence[Recorded]) -> str:
    """What can be compared between runs, then all scores of each run.

    Args:
        runs: Their records.
    """
    parts = []
    if len(runs) > 1:
        parts.append(_shared(runs))
    for run in runs:
        rows = evaluation_table.at_the_end(run.scores)
        parts.append(_own(run, rows) if rows else note(f"{run.label}: {_NONE}"))
    return "".join(parts)


def _own(run: Recorded, rows: Sequence[Mapping[str, Any]]) -> str:
    caption = f"Scores of {run.label} and its baselines"
    return _table(_named(rows), caption)


def _named(rows: Iterable[Mapping[str, Any]], **more: str) -> list[dict[str, str]]:
    """Lines by the names of their columns, scores before what they depend on."""
    head, *lines = evaluation_table.cells(rows)
    scores = head[len(_BEFORE) : -len(_BEHIND)]
    order = ("evaluation", *more, "measure", *scores, *_BEFORE[1:-1], *_BEHIND)
    named = [{**dict(zip(head, line, strict=True)), **more} for line in lines]
    return [{name: line[name] for name in order} for line in named]


def _table(lines: Sequence[Mapping[str, str]], caption: str) -> str:
    """A table without the columns that have nothing in them."""
    names = dict.fromkeys(n for line in lines for n, cell in line.items() if cell)
    # What some lines have and others lack may have come in late.
    first = [n for n in names if n not in (*_BEFORE[1:-1], *_BEHIND)]
    head = [*first, *(n for n in names if n not in first)]
    cells = (
        [line.get(name, "").replace("/  /", "/ - /") for name in head] for line in lines
    )
    return table(head, cells, caption, numbers=True)


def _shared(runs: Sequence[Recorded]) -> str:
    """Lines that several runs have, those of one protocol under one another."""
    found: dict[Any, list[tuple[Recorded, Mapping[str, Any]]]] = {}
    for run in runs:
        for row in evaluation_table.at_the_end(run.scores):
            found.setdefault(evaluation_table.key(row), []).append((run, row))
    lines = []
    for _, pairs in sorted(found.items()):
        owners = {run.label: run for run, _ in pairs}
        if len(owners) < 2:
            continue
        for label in owners:
            rows = [row for run, row in pairs if run.label == label]
            lines += _named(rows, run=label)
    if lines:
        return _table(lines, "Scores that compare")
    return note(
        "No evaluation was made of two of these runs under one protocol, so their "
        "scores do not compare. Score them on the same --data and splits."
    )


Layers = dict[str, dict[str, float]]


def layers(run: Recorded) -> dict[str, Layers]:
    """Scores of each layer.

    Args:
        run: Its records.

    Returns:
        By what they were measured on, and then by who was scored, the numbers by layer
        in order; the last line of each counts.
    """
    found: dict[str, Layers] = {}
    for row in evaluation_table.at_the_end(run.scores):
        if row["evaluation"] != "layers":
            continue
        _, data, measure, mark = evaluation_table.key(row)
        numbers = {k: float(v) for k, v in row.items() if k not in _ABOUT}
        subject = str(_NAMES.get(row["subject"], row["subject"]))
        title = f"{measure} on {data}, protocol {mark}"
        found.setdefault(title, {})[subject] = numbers
    return found


def layer_table(title: str, found: Layers) -> str:
    """A table of layers, with bars.

    Args:
        title: What was measured.
        found: Numbers by subject and layer.
    """
    names = list(dict.fromkeys(name for numbers in found.values() for name in numbers))
    head = "".join(f'<th scope="col">{text(s)}</th>' for s in found)
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        f"{''.join(_bar(numbers.get(name)) for numbers in found.values())}</tr>"
        for name in names
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(title)}">'
        f'<table class="bars"><caption>{text(title)}</caption><thead><tr>'
        f'<th scope="col">layer</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _bar(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    width = 100 * min(1.0, max(0.0, value))
    return (
        f'<td><span class="bar" style="width:{width:.1f}%"></span>'
        f"<span>{value:.3f}</span></td>"
    )
