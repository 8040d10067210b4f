"""Scores of runs as tables of a page; what does not compare shares no line."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssl.runs import evaluation_table
from keras_ssl.runs.report_html import note, table, text
from keras_ssl.runs.report_records import Recorded

# What lines of evaluations.jsonl have beside their numbers.
_ABOUT = (
    *("step", "evaluation", "subject", "score", "task", "health", "protocol"),
    *("fingerprint", "leakage", "top1"),
)
_NAMES = {"encoder": "trained", "random_init": "untrained"}
NONE = "No evaluation was recorded; tools/evaluate.py makes them."


def tables(runs: Sequence[Recorded]) -> str:
    """What can be compared between runs, then all scores of each run.

    Args:
        runs: Their records.
    """
    parts = []
    if len(runs) > 1:
        parts.append(_shared(runs))
    for run in runs:
        title = f"<h3>{text(run.label)}</h3>" if len(runs) > 1 else ""
        rows = evaluation_table.at_the_end(run.scores)
        parts.append(title + (_own(run, rows) if rows else note(NONE)))
    return "".join(parts)


def _own(run: Recorded, rows: Sequence[Mapping[str, Any]]) -> str:
    head, *lines = evaluation_table.cells(rows)
    return table(head, lines, f"Scores of {run.label} and its baselines", numbers=True)


def _shared(runs: Sequence[Recorded]) -> str:
    """Lines that several runs have, each under one protocol."""
    owners = collections.defaultdict(set)
    for run in runs:
        for row in evaluation_table.at_the_end(run.scores):
            owners[evaluation_table.key(row)].add(run.label)
    rows = [
        {**row, "subject": _subject(row["subject"], run.label)}
        for run in runs
        for row in evaluation_table.at_the_end(run.scores)
        if len(owners[evaluation_table.key(row)]) > 1
    ]
    if not rows:
        return note(
            "No evaluation was made of two of these runs under one protocol, so their "
            "scores do not compare. Score them on the same --data and splits."
        )
    head, *lines = evaluation_table.cells(rows)
    gone = head.index("near duplicates")
    kept = [[c for i, c in enumerate(line) if i != gone] for line in (head, *lines)]
    return table(kept[0], kept[1:], "Scores that compare", numbers=True)


def _subject(name: str, run: str) -> str:
    first, slash, rest = name.partition("/")
    return f"{run}: {_NAMES.get(first, first.replace('_', ' '))}{slash}{rest}"


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
