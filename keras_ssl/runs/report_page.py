"""The page of a report: one file of HTML that needs nothing else."""

import importlib.resources
import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.core import run_dir
from keras_ssl.runs import report_records, report_scores, report_seen
from keras_ssl.runs.report_features import Seen
from keras_ssl.runs.report_html import colour, folded, note, table, text, uri
from keras_ssl.runs.report_records import Recorded
from keras_ssl.runs.report_svg import Curve, curves

# What a picture of a run may take in the page.
_MOST_BYTES = 4 << 20
# Of whatever a method logs.
_MOST_CHARTS = 40
# Of settings that differ; more are folded.
_MOST_ROWS = 20
_PICTURES = {
    run_dir.VIEWS: "Training images and their views",
    run_dir.PICTURES: "What the method shows of itself",
}
_CURVES = {
    "loss": "training loss",
    "learning_rate": "learning rate",
    "images_per_second": "speed, examples a second",
}
_SIGNS = {
    "features/std": "spread of features (0: one point)",
    "features/rank": "effective rank of features",
    "compared/std": "spread of what the loss compares",
    "compared/rank": "effective rank of what the loss compares",
}


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
        "Curves": _logged(runs),
        "Health": _health(runs),
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
        title=text(" and ".join(run.label for run in runs)),
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
    found = [report_records.facts(run) for run in runs]
    rows = [[name, *(each[name] for each in found)] for name in found[0]]
    unknown = [row[0] for row in rows if {*row[1:]} == {report_records.NO}]
    rows = [row for row in rows if row[0] not in unknown]
    marked = [i for i, row in enumerate(rows) if len(set(row[1:])) > 1]
    whole = table(["", *(run.label for run in runs)], rows, "Records", marked=marked)
    if unknown:
        whole += note(f"Not recorded: {', '.join(unknown).lower()}.")
    if len(runs) == 1:
        return whole
    differing = report_records.differing(runs)
    if not differing:
        return whole + note("No setting differs.")
    head = ["setting", *(run.label for run in runs)]
    shown = table(head, differing, "Settings that differ")
    many = len(differing) > _MOST_ROWS
    return whole + (
        folded(f"{len(differing)} settings differ", shown) if many else shown
    )


def _layers(run: Recorded) -> str:
    found = report_scores.layers(run)
    if not found:
        return note(
            "Layers were not scored; tools/evaluate.py --evaluation=layers does that."
        )
    return "".join(report_scores.layer_table(*pair) for pair in found.items())


def charts(runs: Sequence[Recorded]) -> dict[str, dict[str, list[Curve]]]:
    """The curves of `curves` and of `health`, by their titles.

    Args:
        runs: The records of runs.
    """
    signs = [[{"step": r["step"], **r["signs"]} for r in run.health] for run in runs]
    return {
        "curves": _charts(runs, [run.metrics for run in runs], _CURVES),
        "health": _charts(runs, signs, _SIGNS),
    }


def _charts(
    runs: Sequence[Recorded],
    rows: Sequence[Sequence[Mapping[str, Any]]],
    names: Mapping[str, str],
) -> dict[str, list[Curve]]:
    """Curves by title, all runs in one; losses by method."""
    found: dict[str, list[Curve]] = {}
    several = len({run.record.get("method") for run in runs}) > 1
    for name, title in names.items():
        for number, run in enumerate(runs):
            curve = _curve(run.label, colour(number, len(runs)), rows[number], name)
            if curve is None:
                continue
            # Losses of different methods have nothing in common.
            of = f" of {run.record.get('method')}" if several and name == "loss" else ""
            found.setdefault(title + of, []).append(curve)
    return found


def _drawn(found: Mapping[str, Sequence[Curve]]) -> str:
    drawn = "".join(curves(title, lines) for title, lines in found.items())
    return f'<div class="charts">{drawn}</div>'


def _curve(
    label: str, shade: str, rows: Sequence[Mapping[str, Any]], name: str
) -> Curve | None:
    found = [
        (row["step"], row[name])
        for row in rows
        if "step" in row and _is_number(row.get(name))
    ]
    if not found:
        return None
    x, y = np.array(found, np.float64).T
    return Curve(label, shade, x, y)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _logged(runs: Sequence[Recorded]) -> str:
    """Curves of what was logged in training."""
    parts = [
        _lacking(runs, "metrics", f"no {run_dir.METRICS}, so there are no curves"),
        _legend(runs),
        _drawn(charts(runs)["curves"]),
    ]
    known = ("step", "epoch", "seconds", *_CURVES)
    names = dict.fromkeys(
        name
        for run in runs
        for row in run.metrics
        for name, value in row.items()
        if name not in known and _is_number(value)
    )
    if names:
        shown = {name: name for name in list(names)[:_MOST_CHARTS]}
        more = _charts(runs, [run.metrics for run in runs], shown)
        parts.append(folded("What else was logged", _drawn(more)))
    return "".join(parts)


def _legend(runs: Sequence[Recorded]) -> str:
    if len(runs) == 1:
        return ""
    items = "".join(
        f'<li><span class="dot" style="background:{colour(i, len(runs))}"></span>'
        f"{text(run.label)}</li>"
        for i, run in enumerate(runs)
    )
    return f'<ul class="legend">{items}</ul>'


def _lacking(runs: Sequence[Recorded], what: str, why: str) -> str:
    return "".join(
        note(f"{run.label}: {why}.") for run in runs if not getattr(run, what)
    )


def _health(runs: Sequence[Recorded]) -> str:
    """States over time, what to do about them, and the signs."""
    why = f"no {run_dir.HEALTH}, so health is not known"
    parts = [_lacking(runs, "health", why)]
    parts += [_states(run) for run in runs if run.health]
    return "".join(parts) + _legend(runs) + _drawn(charts(runs)["health"])


def _states(run: Recorded) -> str:
    last = run.health[-1]
    odd = any(row["seen"] or row["state"] != last["state"] for row in run.health)
    rows, before = [], None
    for row in run.health:
        if row["state"] != before or row["seen"]:
            rows.append([f"{row['step']:,}", row["state"], row["seen"] or "nothing"])
        before = row["state"]
    strip = "".join(
        f'<span class="{text(row["state"])}"></span>' for row in run.health[-200:]
    )
    return (
        f"<p><b>{text(run.label)}</b> "
        f'<span class="state {text(last["state"])}">{text(last["state"])}</span> at '
        f"step {last['step']:,}, after {len(run.health)} probes</p>"
        f'<div class="strip" aria-hidden="true">{strip}</div>'
        + (
            table(["step", "state", "what was seen"], rows, "What it saw")
            if odd
            else ""
        )
    )


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
