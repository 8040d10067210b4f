"""The page of a report: one file of HTML that needs nothing else."""

import importlib.resources
import string
from collections.abc import Sequence
from typing import Any

from keras_ssl.core import run_dir
from keras_ssl.runs import report_curves, report_records, report_scores, report_seen
from keras_ssl.runs.report_features import Seen
from keras_ssl.runs.report_html import folded, note, table, text, uri
from keras_ssl.runs.report_records import Recorded

# What a picture of a run may take in the page.
_MOST_BYTES = 4 << 20
# Of settings that differ; more are folded.
_MOST_ROWS = 20
_PICTURES = {
    run_dir.VIEWS: "Training images and their views",
    run_dir.PICTURES: "What the method shows of itself",
}
# Facts that are seen at once.
_FIRST = (
    *("Method", "Paper", "Encoder", "Data", "Steps", "Batch", "Optimizer", "Rate"),
    *("Started from", "Status", "Took", "Commit", "Versions"),
)


def page(runs: Sequence[Recorded], seen: Sequence[Seen | str]) -> str:
    """A report.

    Args:
        runs: The records of runs.
        seen: What each one's encoder makes of images, or why that is not known.

    Returns:
        HTML, the same for the same arguments.
    """
    styles: list[str] = []
    pairs = list(zip(runs, seen, strict=True))
    sections = {
        "What was run": _what(runs),
        "Scores": report_scores.tables(runs),
        "Layers": _each(runs, _layers),
        "Curves": report_curves.logged(runs),
        "Health": report_curves.health(runs),
        **report_seen.sections(pairs, styles),
        "Pictures": _each(runs, _pictures),
        "Settings": "".join(
            folded(f"Configuration of {run.label}", f"<pre>{text(run.settings)}</pre>")
            for run in runs
            if run.settings
        )
        or note("No configuration was found."),
    }
    names = {title: title.lower().replace(" ", "-") for title in sections}
    return string.Template(_file("report.html")).substitute(
        title=text(", ".join(run.label for run in runs)),
        summary=_summary(runs),
        style=_file("report.css") + "".join(styles),
        script=_file("report.js"),
        links="".join(
            f'<a href="#{name}">{text(title)}</a>' for title, name in names.items()
        ),
        sections="".join(
            f'<section id="{names[title]}" aria-labelledby="{names[title]}-title">'
            f'<h2 id="{names[title]}-title">{text(title)}</h2>{inside}</section>'
            for title, inside in sections.items()
        ),
    )


def _file(name: str) -> str:
    folder = importlib.resources.files("keras_ssl.runs")
    return (folder / name).read_text(encoding="utf-8")


def _each(runs: Sequence[Recorded], make: Any) -> str:
    """A part for each run, under its name where there are several."""
    titles = [f"<h3>{text(r.label)}</h3>" if len(runs) > 1 else "" for r in runs]
    return "".join(title + make(run) for title, run in zip(titles, runs, strict=True))


def _summary(runs: Sequence[Recorded]) -> str:
    lines = []
    for run in runs:
        about = report_records.facts(run)
        state = run.health[-1]["state"] if run.health else None
        health = f' <span class="state {state}">{state}</span>' if state else ""
        name = run.record.get("method") or "Encoder"
        lines.append(
            f"<li><b>{text(run.label)}</b>: {text(name)} on {text(about['Data'])}; "
            f"{text(about['Steps'])}, {text(about['Status'])}{health}</li>"
        )
    return f"<ul class=runs>{''.join(lines)}</ul>"


def _what(runs: Sequence[Recorded]) -> str:
    """Tables of facts, what matters most first, and of settings that differ."""
    found = [report_records.facts(run) for run in runs]
    rows = [[name, *(each[name] for each in found)] for name in found[0]]
    unknown = [row[0] for row in rows if {*row[1:]} == {report_records.NO}]
    known = [row for row in rows if row[0] not in unknown]
    first = [row for row in known if row[0] in _FIRST]
    others = [row for row in known if row[0] not in _FIRST]
    differ = sum(len({*row[1:]}) > 1 for row in others)
    more = f"More of the record{f': {differ} lines differ' if differ else ''}"
    parts = [_facts(runs, first, "Records")]
    if len(runs) > 1:
        parts.append(_differing(runs))
    parts.append(folded(more, _facts(runs, others, "More of the record")))
    if unknown:
        parts.append(note(f"Not recorded: {', '.join(unknown).lower()}."))
    return "".join(parts)


def _facts(
    runs: Sequence[Recorded], rows: Sequence[Sequence[str]], caption: str
) -> str:
    marked = [i for i, row in enumerate(rows) if len({*row[1:]}) > 1]
    return table(["", *(run.label for run in runs)], rows, caption, marked=marked)


def _differing(runs: Sequence[Recorded]) -> str:
    found = report_records.differing(runs)
    if not found:
        return note("No setting differs.")
    head = ["setting", *(run.label for run in runs)]
    shown = table(head, found, "Settings that differ")
    many = len(found) > _MOST_ROWS
    return folded(f"{len(found)} settings differ", shown) if many else shown


def _layers(run: Recorded) -> str:
    found = report_scores.layers(run)
    if not found:
        return note(
            "Layers were not scored; tools/evaluate.py --evaluation=layers does that."
        )
    return "".join(report_scores.layer_table(*pair) for pair in found.items())


def _pictures(run: Recorded) -> str:
    parts = []
    for name, title in _PICTURES.items():
        found = run.picture(name)
        if found is None:
            continue
        if len(found) > _MOST_BYTES:
            parts.append(note(f"{name} is too large for this page."))
            continue
        parts.append(
            f'<figure><img src="{uri("image/png", found)}" alt="{text(title)}">'
            f"<figcaption>{text(title)}</figcaption></figure>"
        )
    return "".join(parts) or note("The run left no pictures of itself.")
