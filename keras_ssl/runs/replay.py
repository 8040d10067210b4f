"""Takes a step of a run apart once more: the work of tools/replay.py."""

import pathlib

from keras_ssl.core import config, console, registry, run_dir
from keras_ssl.core import precision as precisions
from keras_ssl.runs import remade, saved_batch
from keras_ssl.runs.records import Launch


def replay(
    directory: str, step: int | None = None, data_dir: str | None = None
) -> list[str]:
    """Takes a step of a run apart, on one device.

    Args:
        directory: The run's.
        step: Which, from 1; the one that went bad if None.
        data_dir: Where TFDS keeps data; as in the run if None.

    Returns:
        Lines: a tensor each, in the order of computation, and what went bad first.

    Raises:
        ValueError: If there is no such run or no such step.
    """
    path = pathlib.Path(directory).expanduser()
    record = run_dir.read_json(path / run_dir.RUN)
    if not record:
        raise ValueError(f"{path} is no run: it has no {run_dir.RUN}.")
    for plugin in record["plugins"]:
        registry.load(plugin)
    step, folder = _which(path, step, record["total_steps"])
    config.parse([str(path / run_dir.CONFIG)], ())
    precisions.choose(record["precision"])
    launch = Launch(
        path,
        data_dir or record["data_dir"],
        record["seed"],
        record["precision"],
        tuple(record["plugins"]),
        record["init_from"],
    )
    run = remade.remade(launch, folder)
    begun = run.start(step - 1)
    console.say(f"From the state after step {begun} on.")
    # What was saved of a bad step begins where it may have become so.
    saved = saved_batch.steps(folder) if folder is not None else []
    run.go_to(min([n for n in saved if n > begun], default=step) - 1)
    lines: list[str] = []
    first: remade.Found | None = None
    while run.step < step and first is None:
        lines = []
        for number, part in run.parts():
            lines.append(f"step {number}  {part}")
            if first is None and run.is_amiss(part):
                first = run.found(number, part)
    last = str(first) if first else f"Step {step} is all numbers."
    return [*lines, last]


def _which(
    path: pathlib.Path, step: int | None, total: int
) -> tuple[int, pathlib.Path | None]:
    """The step that is meant, and what was saved of it."""
    saved = sorted((path / run_dir.BAD).glob("step_*"))
    if step is None:
        if not saved:
            raise ValueError(f"{path} has no bad step; say which by --step=N.")
        return int(saved[-1].name.removeprefix("step_")), saved[-1]
    if not 1 <= step <= total:
        raise ValueError(f"step must be in [1, {total}], got {step}.")
    folder = path / run_dir.BAD / f"step_{step:09d}"
    return step, folder if folder.exists() else None
