"""Speed, measured by suites and recorded where the documentation is made from."""

import json
import os
import pathlib
import platform
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.console import table
from keras_ssl.core.registry import did_you_mean
from keras_ssl.runs import benchmark_batch_norm, benchmark_step, benchmark_views

SUITES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "views": benchmark_views.suite,
    "step": benchmark_step.rows,
    "batch_norm": benchmark_batch_norm.benchmark,
}


def run(names: Sequence[str], folder: str) -> list[dict[str, str]]:
    """Runs suites, writes a record of each and the page of all records.

    Args:
        names: Suites; "all" for every one.
        folder: Where `performance.md` and `performance/<suite>.json` go.

    Returns:
        The rows of the suites, for people.

    Raises:
        ValueError: If there is no such suite.
    """
    chosen = list(SUITES) if "all" in names else list(names)
    for name in chosen:
        if name not in SUITES:
            raise ValueError(f"No suite {name!r}.{did_you_mean(name, SUITES)}")
    records = pathlib.Path(folder) / "performance"
    records.mkdir(parents=True, exist_ok=True)
    shown = []
    for name in chosen:
        rows = SUITES[name]()
        record = {
            "command": f"python tools/benchmark.py --suite={name}",
            "machine": _machine(),
            "rows": rows,
        }
        text = json.dumps(record, indent=2) + "\n"
        (records / f"{name}.json").write_text(text, encoding="utf-8")
        shown += [_cells(row) for row in rows]
    page(folder)
    return shown


def page(folder: str) -> None:
    """Writes `performance.md` from the records beside it.

    Args:
        folder: Holds `performance/*.json`.
    """
    parts = [
        "# Performance\n",
        "Made by `tools/benchmark.py` from the records in `performance/`. Contenders "
        "take turns in one process; figures are medians over rounds, and ratios are "
        "taken within a round.\n",
    ]
    for file in sorted((pathlib.Path(folder) / "performance").glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        machine = ", ".join(f"{k} {v}" for k, v in record["machine"].items())
        rows = table([_cells(row) for row in record["rows"]])
        parts += [
            f"## {file.stem}\n",
            f"`{record['command']}`, on {machine}.\n",
            f"```\n{rows}\n```\n",
        ]
    text = "\n".join(parts)
    (pathlib.Path(folder) / "performance.md").write_text(text, encoding="utf-8")


def _machine() -> dict[str, str]:
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": platform.machine(),
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
    }


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """A row for people; what is not there stays empty."""
    return {
        key.replace("_", " "): "" if value is None else str(value)
        for key, value in row.items()
    }
