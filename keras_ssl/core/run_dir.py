"""Names of what a run leaves, and how its files are written."""

import json
import os
import pathlib
from typing import Any

CONFIG = "config.gin"
OPERATIVE = "operative_config.gin"
RUN = "run.json"
METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
HEALTH = "health.jsonl"
BAD = "bad"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
EXPORT = "export"
VIEWS = "views.png"
CURVES = "curves.png"
PICTURES = "pictures.png"
MAP = "map.png"
TSNE = "tsne.png"


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a whole file or nothing: aside, flushed to disk, then renamed."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON object, or `{}` if there is no such file."""
    path = pathlib.Path(path)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def append_line(path: str | os.PathLike[str], row: dict[str, Any]) -> None:
    """Appends one JSON object as a line."""
    with pathlib.Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a file of JSON lines; a last line cut short by a kill is left out."""
    path = pathlib.Path(path)
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def keep_lines_before(path: str | os.PathLike[str], step: int) -> None:
    """Drops rows past `step`, which a resumed run is about to write again.

    So is a last line cut short: the next row would be appended to it.
    """
    path = pathlib.Path(path)
    kept = [row for row in read_lines(path) if row.get("step", 0) <= step]
    text = "".join(json.dumps(row) + "\n" for row in kept)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        write_text(path, text)
