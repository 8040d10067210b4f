"""Records the signs of health of short runs: what bounds are held against."""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from keras_ssl.core import run_dir
from keras_ssl.runs import launch


def record(
    recipe: str,
    out: pathlib.Path,
    name: str | None = None,
    bindings: Sequence[str] = (),
    plugins: Sequence[str] = (),
    every: int = 25,
    seed: int = 0,
    precision: str = "float32",
) -> dict[str, Any]:
    """Trains a recipe for a while, with many probes, and keeps what they saw.

    Args:
        recipe: A configuration by path or name.
        out: Folder of records.
        name: Of the record; the recipe's by default.
        bindings: Lines of gin, such as how many epochs.
        plugins: Modules with parts of others.
        every: Steps between probes.
        seed: Seed of weights and views.
        precision: Dtype policy.

    Returns:
        The record: what was run, and the rows of `health.jsonl`.
    """
    words = ["train.evaluation = None", f"Health.every_steps = {every}", *bindings]
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        launch.train(
            str(run), [recipe], words, plugins=plugins, seed=seed, precision=precision
        )
        made = run_dir.read_json(run / run_dir.RUN)
        rows = run_dir.read_lines(run / run_dir.HEALTH)
    found = {
        "recipe": recipe,
        "bindings": list(bindings),
        "method": made["method"],
        "seed": seed,
        "precision": made["precision"],
        "steps": made["total_steps"],
        "batch_size": made["batch_size"],
        "commit": made["commit"],
        "rows": rows,
    }
    run_dir.write_json(out / f"{name or pathlib.Path(recipe).stem}.json", found)
    return found


def table(folder: pathlib.Path) -> list[dict[str, str]]:
    """A line a record: the state at the end, when it changed, and the judged signs."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        found = run_dir.read_json(path)
        rows = found["rows"]
        alarms = {
            state: next((r["step"] for r in rows if r["state"] == state), None)
            for state in ("warning", "collapsed")
        }
        line = {"run": path.stem, "steps": str(found["steps"])}
        line |= {k: "" if step is None else str(step) for k, step in alarms.items()}
        for name in _SHOWN:
            values = [r["signs"][name] for r in rows if name in r["signs"]]
            known = [v for v in values if v is not None]
            if known:
                line[name] = f"{known[0]:.3g}, {min(known):.3g}, {known[-1]:.3g}"
        lines.append(line)
    return lines


# At the first probe, the least one and the last one.
_SHOWN = (
    "features/std",
    "features/rank",
    "compared/std",
    "compared/rank",
    "objective/loss",
    "objective/information",
    "objective/accuracy_over_chance",
)
