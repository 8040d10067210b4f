"""From the words of a command line to a finished run."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssl.core import (
    config,
    console,
    distribute,
    registry,
    run_dir,
)
from keras_ssl.core import (
    precision as precisions,
)
from keras_ssl.runs import export, plan_text
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
    plan: bool = False,
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
        plan: Trains nothing and writes nothing, but says what the run would be and
            take.

    Returns:
        The exit status: 0, or 2 for a plan with problems.

    Raises:
        ValueError: If anything that was said does not fit.
    """
    load_parts(plugins)
    config.parse(files, bindings)
    if cpu_devices != 1:
        distribute.virtual_cpus(cpu_devices)
    scope = distribute.make_strategy(strategy, tpu=tpu)
    choice = precisions.choose(precision)
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must be in [0, 2**31), got {seed}.")
    keras.utils.set_random_seed(seed)
    folder = pathlib.Path(run_dir).expanduser()
    launch = Launch(folder, data_dir, seed, choice.policy, tuple(plugins), init_from)
    if plan:
        launch = dataclasses.replace(launch, instead=planning.plan)
    with scope.scope():
        console.say(f"{folder}: {', '.join(files)}, {distribute.devices()}, {choice}")
        record = config.call("train", launch=launch)
        chief = distribute.is_chief()
    if plan:
        if chief:
            console.write(plan_text.text(record))
        return 2 if record["problems"] else 0
    if chief:
        _report(folder, record)
    return 0


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
    found: dict[str, dict[str, str]] = {}
    for row in run_dir.read_lines(folder / run_dir.EVALUATIONS):
        baseline = row["subject"] != "encoder" and row["step"] == 0
        if baseline or row["step"] == step:
            name = f"{row['evaluation']} top-1"
            line = found.setdefault(row["subject"], {"features": row["subject"]})
            # The run's own come first; later ones may be of other data.
            line.setdefault(name, f"{row['top1']:.3f}")
    return list(found.values())
