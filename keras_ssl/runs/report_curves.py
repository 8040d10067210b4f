"""Curves of runs in a report: what was logged in training, and signs of health."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.core import run_dir
from keras_ssl.runs.report_html import colour, folded, note, table, text
from keras_ssl.runs.report_records import Recorded
from keras_ssl.runs.report_svg import Curve, curves

# Of whatever a method logs.
_MOST_CHARTS = 40
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


def logged(runs: Sequence[Recorded]) -> str:
    """Curves of what was logged in training.

    Args:
        runs: The records of runs.
    """
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


def health(runs: Sequence[Recorded]) -> str:
    """States over time, what to do about them, and the signs.

    Args:
        runs: The records of runs.
    """
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
