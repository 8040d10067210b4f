"""Names of what a run leaves, and how its files are written."""

import json
import os
import pathlib
from typing import Any

from keras_ssl.core import durable, formats

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
    """Writes a whole file or nothing: aside, flushed to disk, then renamed.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    with durable.replacing(path, "w", len(text)) as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_text(path: str | os.PathLike[str]) -> str:
    """Reads a text file of a run.

    Raises:
        ValueError: If it is no text.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(_damaged(path, error)) from error


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON object, or `{}` if there is no such file.

    Raises:
        ValueError: If it is damaged, or a later version wrote it.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return {}
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(_damaged(path, error)) from error
    if not isinstance(content, dict):
        raise ValueError(_damaged(path, "no JSON object"))
    formats.check(content, path)
    return content


def _damaged(path: str | os.PathLike[str], why: Any) -> str:
    return (
        f"{path} is damaged: {why}. Remove it; a run goes on from its checkpoints and "
        "writes it anew."
    )


def append_line(path: str | os.PathLike[str], row: dict[str, Any]) -> None:
    """Appends one JSON object as a line.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    line = json.dumps(row).encode() + b"\n"
    with (
        durable.explained(path, len(line)),
        pathlib.Path(path).open("ab", buffering=0) as file,
    ):
        size = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            file.truncate(size)
            raise


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
