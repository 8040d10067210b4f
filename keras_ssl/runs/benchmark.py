"""Speed, measured by suites and recorded where the documentation is made from."""

import json
import os
import pathlib
import platform
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import did_you_mean
from keras_ssl.runs import (
    benchmark_accumulate,
    benchmark_batch_norm,
    benchmark_evaluation,
    benchmark_parts,
    benchmark_save,
    benchmark_step,
    benchmark_streamed,
    benchmark_views,
)

# What a row may say, in the order of the page, and how the page calls it.
COLUMNS = {
    "case": "case",
    "contender": "contender",
    "batch_size": "batch",
    "milliseconds": "ms a step",
    "images_per_second": "images/s",
    "ours_to_it": "ours, times as fast",
    "share": "share",
    "megabytes": "MB above inputs",
    "mebibytes": "peak, MiB",
    "mebibytes_of_steps": "of it steps, MiB",
    "times_the_memory": "times the memory",
    "times_the_time": "times the time an image",
    "saved_mebibytes": "checkpoint, MiB",
    "milliseconds_still": "ms still for a save",
    "milliseconds_lost": "ms lost to a save",
    "loss": "loss",
    "goal": "goal",
}
NOTES = {
    "evaluation": "Train rows x test rows x width, or rows x width x classes; medians "
    "over rounds of processor time, ratios within a round. Decaying features have "
    "directions that shrink as one over their rank; isotropic ones are the worst case. "
    "No search that makes all products in float32 takes less than they do. Memory is "
    "that of a first call in a process of its own. Losses are exact, in float64.",
    "views": "Medians over rounds; ratios are taken within a round.",
    "step": "Medians over steps; ratios are taken between steps in a row.",
    "parts": "Medians over turns of a part's share in a train step, in the last row of "
    "a pixel's in what it costs in equal views; a goal is the greatest share wanted.",
    "accumulate": "Each case's memory is that of a fresh process which holds its batch "
    "of images; the times are medians of steps that take turns. The goal is the most "
    "memory wanted, in peaks of a plain step at the size of a chunk.",
    "batch_norm": "A step forward and backward; the fastest of all turns counts.",
    "save": "Models and optimizers have the papers' sizes, views and batches are "
    "small. What is lost to a save is the time that training stands still for it and "
    "what steps take longer until it is on disk; medians over rounds. The share is "
    "that of the time, with a save every five minutes; the goal is the most wanted.",
    "streamed": "Softmax cross entropy of NT-Xent and its gradients, width 128, as one "
    "of 16 replicas with 512 images has it. Medians over turns of processor time, "
    "which others on the machine disturb least; a share is of the time of all columns "
    "at once. Peak memory of a first step in a process of its own, in MB (2^20 bytes), "
    "gradients included; goals are greatest shares and MB.",
}
# Ours may take a twentieth longer than the fused kernel.
_BATCH_NORM_GOAL = 0.95
# So that the suite takes minutes on two cores.
_STEP_BATCH, _STEP_ROUNDS = 16, 3


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
        "take turns in one process. Where a row has a goal it is for how many times as "
        "fast ours should be, if nothing else is said.\n",
    ]
    for file in sorted((pathlib.Path(folder) / "performance").glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        machine = ", ".join(f"{k} {v}" for k, v in record["machine"].items())
        parts += [
            f"## {file.stem}\n",
            f"`{record['command']}`, on {machine}. {NOTES.get(file.stem, '')}\n",
            _markdown([_cells(row) for row in record["rows"]]) + "\n",
        ]
    text = "\n".join(parts)
    (pathlib.Path(folder) / "performance.md").write_text(text, encoding="utf-8")


def _markdown(rows: list[dict[str, str]]) -> str:
    """A table of the columns that any row fills."""
    columns = [name for name in COLUMNS.values() if any(row[name] for row in rows)]
    words = {COLUMNS[key] for key in ("case", "contender", "goal")}
    lines = [columns, ["---" if name in words else "---:" for name in columns]]
    lines += [[row[name].replace("|", "\\|") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    cells = {
        name: "" if row.get(key) is None else str(row[key])
        for key, name in COLUMNS.items()
    }
    if row.get("goal") is not None:
        spent = row.get("share", row.get("megabytes", row.get("times_the_memory")))
        reached = (
            row["ours_to_it"] >= row["goal"]
            if spent is None
            else (spent <= row["goal"])
        )
        cells["goal"] = f"{row['goal']}: {'reached' if reached else 'not reached'}"
    return cells


def _step() -> list[dict[str, Any]]:
    """Train steps, a row a contender, ours first."""
    found = benchmark_step.rows(batch_size=_STEP_BATCH, rounds=_STEP_ROUNDS)
    rows = []
    for plain, ours in zip(found[::2], found[1::2], strict=True):
        for row, ratio in ((ours, 1.0), (plain, ours["speedup"])):
            rows.append(
                {
                    "case": f"SimCLR, {row['encoder']}, {row['precision']}, 32 px",
                    "contender": row["layers"],
                    "batch_size": row["batch_size"],
                    "milliseconds": row["milliseconds"],
                    "images_per_second": row["images_per_second"],
                    "ours_to_it": ratio,
                    "goal": None,
                }
            )
    return rows


def _batch_norm() -> list[dict[str, Any]]:
    """Batch norm forward and backward, a row a contender, ours first."""
    rows = []
    for row in benchmark_batch_norm.benchmark():
        size = " x ".join(map(str, row["shape"][1:]))
        for contender, milliseconds, ratio, goal in (
            ("BatchNorm of keras_ssl", row["ours_ms"], 1.0, None),
            (
                "fused kernel of TensorFlow",
                row["fused_ms"],
                row["fused_ms"] / row["ours_ms"],
                _BATCH_NORM_GOAL,
            ),
        ):
            rows.append(
                {
                    "case": f"{size}, {row['dtype']}",
                    "contender": contender,
                    "batch_size": row["shape"][0],
                    "milliseconds": round(milliseconds, 2),
                    "images_per_second": round(1e3 * row["shape"][0] / milliseconds, 1),
                    "ours_to_it": round(ratio, 2),
                    "goal": goal,
                }
            )
    return rows


SUITES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "views": benchmark_views.suite,
    "step": _step,
    "batch_norm": _batch_norm,
    "parts": benchmark_parts.rows,
    "save": benchmark_save.rows,
    "streamed": benchmark_streamed.rows,
    "accumulate": benchmark_accumulate.suite,
    "evaluation": benchmark_evaluation.rows,
}
