"""From the words of a command line to a finished run."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssl.core import (
    cluster,
    config,
    console,
    distribute,
    lock,
    registry,
    run_dir,
)
from keras_ssl.core import (
    precision as precisions,
)
from keras_ssl.core.meeting import Meeting
from keras_ssl.core.stopping import Stopping
from keras_ssl.runs import export, plan_text, records, score_table
from keras_ssl.runs import plan as planning
from keras_ssl.runs.records import Launch


def train(
    run_dir: str,
    files: Sequence[str],
    bindings: Sequence[str] = (),
    strategy: str = "auto",
    tpu: str = "",
    cpu_devices: int = 1,
    precision: str = "auto",
    seed: int = 0,
    plugins: Sequence[str] = (),
    data_dir: str | None = None,
    init_from: str | None = None,
    init_from_except: Sequence[str] = (),
    plan: bool = False,
    worker_timeout: float = 300.0,
    grace: float = 120.0,
    max_seconds: float = 0.0,
) -> int:
    """Trains as configured, exports the encoder, and says what came out.

    Args:
        run_dir: Where the run leaves everything.
        files: Configurations by path or name, the later ones winning.
        bindings: Lines of gin, winning over the files.
        strategy: See `distribute.make_strategy`.
        tpu: Name of the TPU.
        cpu_devices: Virtual CPUs.
        precision: `auto` or a dtype policy of Keras.
        seed: Seed of weights and views.
        plugins: Modules with parts of others.
        data_dir: Where TFDS keeps data.
        init_from: A run or an export whose encoder weights to start from.
        init_from_except: Patterns for `re.search` on names of its variables, which are
            not taken from it; all others must match.
        plan: Trains nothing and writes nothing, but says what the run would be and
            take.
        worker_timeout: Seconds to wait for a worker that does not arrive, or is silent.
        grace: Seconds in which a run that is asked to stop must have ended.
        max_seconds: Seconds after which the run asks itself to stop; none if 0.

    Returns:
        The exit status: 0, or 2 for a plan with problems.

    Raises:
        ValueError: If anything that was said does not fit.
        ConnectionError: If a worker does not arrive or is lost.
        Stopped: If a signal or the time limit came; the same call goes on.
    """
    signals = Stopping(grace, max_seconds)
    load_parts(plugins)
    config.parse(files, bindings)
    if cpu_devices != 1 and strategy == "tpu":
        raise ValueError("cpu_devices is for trying replicas on a CPU, not for a TPU.")
    if cpu_devices != 1:
        distribute.virtual_cpus(cpu_devices)
    choice = precisions.choose(precision)
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must be in [0, 2**31), got {seed}.")
    keras.utils.set_random_seed(seed)
    folder = pathlib.Path(run_dir).expanduser()
    launch = Launch(
        folder,
        data_dir,
        seed,
        choice.policy,
        tuple(plugins),
        init_from,
        tuple(init_from_except),
        signals=signals,
    )
    if plan:
        launch = dataclasses.replace(launch, instead=planning.plan)
    with (
        signals,
        _meeting(strategy, worker_timeout, plan) as meeting,
        _held(folder, plan, meeting),
    ):
        launch = dataclasses.replace(launch, meeting=meeting)
        if meeting.count > 1:
            meeting.same({**records.facts(launch), "cpu_devices": cpu_devices})
        scope = distribute.make_strategy(strategy, tpu=tpu)
        signals.listen()
        with scope.scope():
            who = f"{distribute.devices()}, {choice}"
            console.say(f"{folder}: {', '.join(files)}, {who}")
            record = config.call("train", launch=launch)
            chief = distribute.is_chief()
        if plan:
            console.write(plan_text.text(record))
            return 2 if record["problems"] else 0
        if chief:
            _report(folder, record)
    return 0


def _meeting(strategy: str, timeout: float, plan: bool) -> Meeting:
    """The workers that share the run; this process alone but under `multiworker`."""
    if strategy != "multiworker":
        return Meeting(timeout=timeout)
    workers = cluster.read()
    if plan and len(workers.addresses) > 1:
        raise ValueError(
            "A plan is made by one process. Leave out --strategy=multiworker, or take "
            "--strategy=mirrored --cpu_devices=N for its replicas."
        )
    if workers.index:
        console.speak_as(workers.names[workers.index])
    return Meeting(workers, timeout)


def _held(
    folder: pathlib.Path, plan: bool, meeting: Meeting
) -> contextlib.AbstractContextManager[None]:
    """Holds the run's directory: not for a plan, and one worker does it for all."""
    if plan or meeting.cluster.index:
        return contextlib.nullcontext()
    return lock.held(folder)


def load_parts(plugins: Sequence[str] = ()) -> None:
    """Registers the project's parts and those of plugins."""
    for package in ("keras_ssl", *plugins):
        registry.load(package)


def _report(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """The table of scores, and where everything is."""
    out = folder / run_dir.EXPORT
    if not out.exists():
        export.export(folder, out)
    seconds = record["seconds"]
    console.say()
    if rows := _table(folder, record["total_steps"]):
        console.say(console.table(rows))
        console.say()
    for name, best in record.get("best", {}).items():
        if best["step"] < record["total_steps"]:
            console.say(
                f"Best {name} top-1 on the way: {best['top1']:.3f} at step "
                f"{best['step']}, of {best['images']} test images."
            )
    console.say(
        f"{console.duration(seconds['total'])} in all, of which training "
        f"{console.duration(seconds['training'])}, scoring during it "
        f"{console.duration(seconds['online_evaluation'])}, waiting for data "
        f"{console.duration(seconds['waiting_for_data'])}. {plan_text.memory(record)}"
    )
    for what, name in (
        ("Encoder as SavedModel", run_dir.EXPORT),
        ("Checkpoints", run_dir.CHECKPOINTS),
        ("Scores", run_dir.EVALUATIONS),
        ("Curves", run_dir.CURVES),
        ("Views", run_dir.VIEWS),
        ("Pictures", run_dir.PICTURES),
    ):
        if (folder / name).exists():
            console.say(f"{what + ':':<23}{folder / name}")
    console.say(f"{'Watch it:':<23}tensorboard --logdir={folder / run_dir.TENSORBOARD}")


def _table(folder: pathlib.Path, step: int) -> list[dict[str, str]]:
    """A row a subject, a column an evaluation."""
    own: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for row in run_dir.read_lines(folder / run_dir.EVALUATIONS):
        baseline = row["subject"] != "encoder" and row["step"] == 0
        if "task" not in row and (baseline or row["step"] == step):
            # The run's own come first; later ones may be of other data.
            key = (row["subject"], row["evaluation"])
            own.setdefault(key, (row["subject"], row))
    return score_table.table(own.values())
