"""What a step of a recipe computes and sends on many devices, by tracing it.

Nothing is run and no image is read: the step that trains is traced at one replica's
share of the batch, while `core.pretend` notes where replicas would meet.
"""

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.core import config, distribute, flops, pretend, registry
from keras_ssl.core.pretend import Collective
from keras_ssl.data import pipeline, sources, tfds_source
from keras_ssl.encoders.base import kind
from keras_ssl.methods.base import Method
from keras_ssl.runs import counts, limits, optimizing, scale_time
from keras_ssl.runs.records import Launch
from keras_ssl.runs.scale_time import Machine

# What pretended examples are: views make of them what they make of any.
_IMAGE, _WAVEFORM = (256, 256, 3), (32_768,)


def plan(
    files: Sequence[str],
    bindings: Sequence[str],
    devices: Sequence[int | str],
    machine: Machine,
    examples: int | None = None,
    data_dir: str | None = None,
    plugins: Sequence[str] = (),
) -> dict[str, Any]:
    """Foresees a recipe on several numbers of devices.

    Args:
        files: Configurations by path or name, the later ones winning.
        bindings: Lines of gin, winning over the files.
        devices: Numbers of devices, a replica on each.
        machine: What is assumed of them and of the links between them.
        examples: Examples of the training split, where TFDS does not know.
        data_dir: Where TFDS keeps data.
        plugins: Modules with parts of others.

    Returns:
        `recipe`, `batch_size`, `examples`, `epochs`, `assumed`, and `devices`, what
        `scale_time.estimate` says of each number of devices.

    Raises:
        ValueError: If a number is not positive, the batch cannot be shared out, or the
            number of examples is not known.
    """
    numbers = _numbers(devices)
    machine.check()
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be at least 1, got {examples}.")
    for package in ("keras_ssl", *plugins):
        registry.load(package)
    report: dict[str, Any] = {"recipe": list(files), "bindings": list(bindings)}
    found = []
    for number in numbers:
        # Anew each time: parts keep what they were built for.
        config.parse(files, bindings)
        keras.utils.set_random_seed(0)
        # Around the parts too: some ask how many replicas there are when they are made.
        with pretend.replicas(number) as met:
            instead = functools.partial(_one, number, machine, examples, met, report)
            launch = Launch(pathlib.Path(), data_dir, instead=instead)
            found.append(config.call("train", launch=launch))
        keras.backend.clear_session()
    return {**report, "assumed": machine._asdict(), "devices": found}


def write(path: str, command: str, report: dict[str, Any]) -> None:
    """Writes a record of a plan.

    Args:
        path: A file; its folder is made.
        command: What made it.
        report: What `plan` returned.
    """
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"command": command, **report}, indent=2) + "\n"
    file.write_text(text, encoding="utf-8")


def _numbers(devices: Sequence[int | str]) -> list[int]:
    if not devices:
        raise ValueError("devices must name at least one number, such as 32,128.")
    for each in devices:
        if not str(each).strip().isdecimal() or int(each) < 1:
            raise ValueError(
                "devices must be whole numbers of at least 1, joined by commas, such "
                f"as 32,128; got {each!r}."
            )
    return [int(each) for each in devices]


def _one(
    number: int,
    machine: Machine,
    examples: int | None,
    met: list[Collective],
    report: dict[str, Any],
    launch: Launch,
    **settings: Any,
) -> dict[str, Any]:
    """Stands in for `train`: one number of devices."""
    size = settings["batch_size"]
    local = distribute.local_batch_size(size)
    source = _source(launch, settings, examples)
    per_epoch = pipeline.steps_per_epoch(source, size)
    clock = schedules.Clock(settings["epochs"] * per_epoch, per_epoch, source.count)
    spec = _spec(source, settings, local)
    method: Method = settings["method"]
    _prepare(method, spec, clock, settings)
    config.check_used()
    forward = _traced(method._loss, spec)
    met.clear()  # So far only variables were made and the forward pass was counted.
    step = _traced(method.train_step, spec)
    if number > 1:
        # The trainer averages each logged number over replicas.
        logged = Collective("all-reduce", "logged numbers", (), 4)
        met += [logged] * len(step.structured_outputs)
    report |= {
        "batch_size": size,
        "examples": source.count,
        "epochs": settings["epochs"],
        "steps": clock.total_steps,
    }
    parameters = counts.parameters(method)
    return {
        "devices": number,
        "local_batch": local,
        "trained": parameters["trained"],
        "lasting_bytes": parameters["bytes"],
        **scale_time.estimate(
            number,
            flops.of_graph(forward.graph),
            flops.of_graph(step.graph),
            met,
            machine,
            clock.total_steps,
        ),
    }


def _source(
    launch: Launch, settings: dict[str, Any], examples: int | None
) -> sources.Source:
    """The data if it is needed, else as many examples that are all black."""
    name, split = settings["data"], settings["split"]
    family, _, rest = name.partition(":")
    if examples is None and family == "tfds":
        examples = tfds_source.count(rest, split, launch.data_dir)
        if examples is None:
            raise ValueError(
                f"How many examples split {split!r} of {name!r} has is not known here: "
                "say it by --examples, such as 1281167 for ImageNet-1k."
            )
    if examples is None or settings["partners"] is not None:
        return sources.open_source(name, split, launch.data_dir)
    takes = kind(settings["method"].encoder)
    shape, dtype = (_WAVEFORM, tf.int16) if takes == "audio" else (_IMAGE, tf.uint8)
    return sources.Source(
        name, split, examples, None, lambda index: tf.zeros(shape, dtype), kind=takes
    )


def _spec(
    source: sources.Source, settings: dict[str, Any], local: int
) -> dict[str, Any]:
    """Shapes and dtypes of a replica's batch."""
    partners = settings["partners"]
    if partners is not None:
        partners = partners.prepare(source, settings["max_corrupt"])
    rows = min(local, source.count)
    batches = pipeline.training_batches(
        source, settings["views"], rows, 0, partners=partners
    )
    return limits.local_spec(batches.element_spec, local)


def _prepare(
    method: Method, spec: Any, clock: schedules.Clock, settings: dict[str, Any]
) -> None:
    """Makes variables and the optimizer, as `train` does."""
    method.setup(spec, clock, settings["terms"])
    optimizing.compile_method(
        method,
        clock,
        settings["optimizer"],
        settings["learning_rate"](clock),
        optimizing.SCALES[settings["learning_rate_scale"]](settings["batch_size"]),
        settings["rates"],
        settings["weight_decay"],
        1,
    )


def _traced(function: Any, spec: Any) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(spec)
