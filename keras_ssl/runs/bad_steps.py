"""Keeps what a replay of a bad step needs, and says what went bad first."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ssl.callbacks.checkpoint import checkpoints
from keras_ssl.callbacks.pictures import draw_rows
from keras_ssl.core import console, distribute, run_dir, weights_file
from keras_ssl.core.bad_number import BadNumberError
from keras_ssl.runs import remade, saved_batch
from keras_ssl.runs.records import Launch

if TYPE_CHECKING:
    import tensorflow as tf

REPORT = "report.json"
# Images of a bad batch that are drawn.
_DRAWN = 8


@contextlib.contextmanager
def kept(
    launch: Launch, batches: Callable[..., "tf.data.Dataset"], most: int
) -> Iterator[None]:
    """At a loss that is no number leaves `bad/step_N` and says in the error why.

    Args:
        launch: Directory, seed and the like.
        batches: The run's pipeline, from a step on.
        most: Steps from the last good checkpoint that are made again, at most, to find
            what went bad first; 0 for not to look.
    """
    try:
        yield
    except BadNumberError as error:
        if distribute.is_chief():
            error.args = (f"{error} {_keep(launch, batches, most, error)}",)
        raise


def _keep(
    launch: Launch, batches: Callable[..., Any], most: int, error: BadNumberError
) -> str:
    """Writes the folder, whole or not at all; returns what to add to the error."""
    folder = launch.run_dir / run_dir.BAD / f"step_{error.step:09d}"
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    # With several steps to an execution any of them may be the one; and a loss is bad
    # one step after a gradient was.
    first = max(1, error.step - error.count)
    start = _link(launch.run_dir / run_dir.CHECKPOINTS, aside, first - 1)
    found = None
    # Tensors of replicas cannot be looked at one by one; tools/replay.py takes one.
    alone = distribute.replicas() == 1
    if alone and most and first - 1 - start <= most:
        console.say(f"{error.args[0]} Looking for what went bad first.")
        try:
            found = _look(launch, aside, first - 1, error.step)
        except Exception as failed:  # It must not hide that there was a bad number.
            console.say(f"Could not look: {type(failed).__name__}: {failed}")
    bad = error.step if found is None else found.step
    for step in sorted({bad - 1, bad, error.step - 1, error.step} - {0}):
        batch = next(iter(batches(step - 1)))
        saved_batch.write(saved_batch.path(aside, step), batch, step)
    _draw(aside / "views.png", saved_batch.read(saved_batch.path(aside, bad)))
    _report(aside, launch, error, found, start)
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    said = str(found) if found else "What went bad first is not known yet."
    return (
        f"{said} Everything for a replay is in {folder}: "
        f"python tools/replay.py --run_dir={launch.run_dir} --step={error.step}"
    )


def _link(saved: pathlib.Path, folder: pathlib.Path, step: int) -> int:
    """Keeps the last good checkpoint that is not after a step; returns its step."""
    for path in reversed(checkpoints(saved)):
        try:
            arrays, meta = weights_file.load(path)
        except ValueError:
            continue
        if meta["step"] <= step and not remade.bad_arrays(arrays):
            target = folder / remade.STATE
            try:
                os.link(path, target)
            except OSError:
                # Another file system, or one without links.
                shutil.copyfile(path, target)
            return int(meta["step"])
    return 0


def _look(
    launch: Launch, folder: pathlib.Path, before: int, last: int
) -> remade.Found | None:
    """Makes the steps since the last good state again, and examines the last ones."""
    run = remade.remade(launch, folder)
    # So that the examples have names.
    _ = run.source
    run.start(before)
    run.go_to(before)
    found = run.first_bad(last)
    # A replay then needs neither the data nor the steps before.
    step, state = run.states[0]
    weights_file.save(folder / remade.STATE, state, {"step": step})
    return found


def _draw(path: pathlib.Path, batch: dict[str, Any]) -> None:
    rows = {
        f"view {i + 1}": [np.nan_to_num(x) for x in view[:_DRAWN].numpy()]
        for i, view in enumerate(batch["views"])
    }
    draw_rows(path, rows)


def _report(
    folder: pathlib.Path,
    launch: Launch,
    error: BadNumberError,
    found: remade.Found | None,
    start: int,
) -> None:
    recent = run_dir.read_lines(launch.run_dir / run_dir.METRICS)[-20:]
    first = None
    if found is not None:
        first = {
            "step": found.step,
            **dataclasses.asdict(found.part),
            "images": found.images,
            "places": found.places,
            "grown": found.grown,
            "text": str(found),
        }
    report = {
        "step": error.step,
        "scalars": {name: str(value) for name, value in error.scalars.items()},
        "first": first,
        "last_good_checkpoint": start,
        "recent": recent,
        "run": run_dir.read_json(launch.run_dir / run_dir.RUN),
    }
    run_dir.write_json(folder / REPORT, report)
