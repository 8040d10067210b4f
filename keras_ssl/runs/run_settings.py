"""What runs and exports were made with, as texts that can be set side by side."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssl.core import gin_text, run_dir
from keras_ssl.export.saved_model import WEIGHTS
from keras_ssl.runs import encoders

STATE, STEPS = "state", "steps"
_EXPORT = "export"
# Bindings whose values the run's record says by itself.
_SAID = ("batch_size", "data", "epochs", "method", "split")


def settings(path: str | os.PathLike[str]) -> dict[str, str]:
    """All settings of a run or of an export, by name.

    First come facts of its record: `state`, `steps` done and planned, method, encoder,
    data, sizes, precision, seed, code and versions; then each binding that it used,
    such as `SimCLR.temperature`, with macros replaced by their values. A binding that
    does no more than to choose a part shows the part.

    Args:
        path: A run directory, finished or not, or an export.

    Raises:
        ValueError: If it is neither, or a file of it is damaged.
    """
    path = pathlib.Path(path)
    record = run_dir.read_json(path / run_dir.RUN)
    if record:
        return {**_facts(path, record), **_bindings(path, record)}
    if (path / WEIGHTS).exists():
        return _of_export(encoders.read(path)[1])
    if not path.exists():
        raise ValueError(f"There is no run {str(path)!r}.")
    raise ValueError(
        f"{path} is neither a run (no {run_dir.RUN}) nor an export (no {WEIGHTS})."
    )


def differing(found: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of the settings that are not the same everywhere.

    Args:
        found: The `settings` of each run. What one has and another lacks differs too,
            but for what an export does not know.

    Returns:
        Names, in the order of `names`; none if there is one run.
    """

    def values(name: str) -> set[str | None]:
        return {
            each.get(name) for each in found if name in each or each[STATE] != _EXPORT
        }

    return [name for name in names(found) if len(values(name)) > 1]


def names(found: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of all settings, each beside those that it stands beside in its run.

    Args:
        found: The `settings` of each run.
    """
    order: list[str] = []
    for each in found:
        at = 0
        for name in each:
            if name not in order:
                order.insert(at, name)
            at = order.index(name) + 1
    return order


def is_finished(found: Mapping[str, str]) -> bool:
    """Whether a run came to its end.

    Args:
        found: Its `settings`.
    """
    return found[STATE] in ("finished", _EXPORT)


def _facts(path: pathlib.Path, record: dict[str, Any]) -> dict[str, str]:
    encoder, data = record.get("encoder", {}), record.get("data", {})
    planned, per_epoch = record.get("total_steps"), record.get("steps_per_epoch")
    resolved = record.get("resolved", {})
    facts = {
        STATE: _state(record),
        STEPS: _steps(path, record),
        "health": record.get("health", {}).get("state"),
        "method": record.get("method"),
        **_encoder(encoder),
        "parameters": record.get("parameters", {}).get("encoder"),
        "data": data.get("source"),
        "split": data.get("split"),
        "images": data.get("images"),
        "data fingerprint": data.get("fingerprint"),
        "batch size": record.get("batch_size"),
        "epochs": planned and per_epoch and f"{planned / per_epoch:g}",
        "rate": resolved.get("rate") and f"{resolved['rate']:.6g}",
        "precision": record.get("precision"),
        "seed": record.get("seed"),
        "started from": record.get("init_from"),
        "plugins": ", ".join(record.get("plugins", [])),
        "devices": record.get("devices"),
        "commit": _short(record.get("commit")),
        "python": record.get("python"),
        **record.get("versions", {}),
    }
    return _texts(facts)


def _of_export(meta: dict[str, Any]) -> dict[str, str]:
    """What an export knows of itself: less than a run."""
    data = meta.get("data") or {}
    facts = {
        STATE: _EXPORT,
        STEPS: meta.get("step"),
        "method": meta.get("method"),
        **_encoder(meta),
        "data": data.get("source"),
        "split": data.get("split"),
        "images": data.get("images"),
        "data fingerprint": data.get("fingerprint"),
        "precision": meta.get("precision"),
        "weights": meta.get("checkpoint"),
        "keras_ssl": meta.get("written_by"),
    }
    return _texts(facts)


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    return {k: text(v) for k, v in facts.items() if v not in (None, "")}


def _encoder(record: Mapping[str, Any]) -> dict[str, Any]:
    """Its name, and what it was made with where no binding says it."""
    return {
        "encoder": record.get("name"),
        "features": record.get("feature_dim"),
        "image size": record.get("image_size"),
        **{
            f"encoder {key}": _plain(value)
            for key, value in record.get("config", {}).items()
            if key not in ("name", "dtype", "trainable", "image_size")
        },
    }


def _plain(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)


def _state(record: Mapping[str, Any]) -> str:
    state = str(record.get("status", "not known"))
    if state == "stopped":
        return f"stopped ({record.get('stopped', '?')})"
    # Whoever kills it leaves it no time to say so.
    return "running or killed" if state == "running" else state


def _steps(path: pathlib.Path, record: Mapping[str, Any]) -> str | None:
    planned = record.get("total_steps")
    if planned is None:
        return None
    if record.get("status") == "finished":
        return f"{planned:,}"
    lines = run_dir.read_lines(path / run_dir.METRICS)
    return f"{lines[-1].get('step', 0) if lines else 0:,} of {planned:,}"


def _short(commit: str | None) -> str | None:
    if not commit:
        return None
    mark, _, dirty = commit.partition("-")
    return mark[:12] + ("-" + dirty if dirty else "")


def _bindings(path: pathlib.Path, record: Mapping[str, Any]) -> dict[str, str]:
    """What was bound and used, in the order of names; the run's own settings first."""
    for name in (run_dir.OPERATIVE, run_dir.CONFIG):
        if (path / name).exists():
            found = gin_text.bound(run_dir.read_text(path / name))
            break
    else:
        return {}
    encoder = record.get("encoder", {})
    said = {"optional.parts", *(f"train.{name}" for name in _SAID)}
    said |= {f"{encoder.get('name')}.{key}" for key in encoder.get("config", {})}
    names = sorted(found, key=lambda name: (not name.startswith("train."), name))
    return {n: found[n] for n in names if n.split("/")[-1] not in said}
