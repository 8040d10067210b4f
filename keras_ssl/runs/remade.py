"""A run made anew from its recipe, whose steps are gone through again bit by bit."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.callbacks.checkpoint import checkpoints
from keras_ssl.core import (
    config,
    distribute,
    run_dir,
    weights_file,
)
from keras_ssl.core.tracing import named_optimizer_variables, named_variables
from keras_ssl.data import pipeline, sources
from keras_ssl.methods.base import Method
from keras_ssl.runs import anatomy, encoders, limits, optimizing, saved_batch
from keras_ssl.runs.anatomy import Part
from keras_ssl.runs.records import Launch

STATE = "state.npz"
# So many times its size is more than a weight grows by in a step that is well.
_FAST, _SMALL = 100.0, 0.01


class Found(NamedTuple):
    """The first tensor of some steps that holds what is no number.

    Attributes:
        step: The step, from 1.
        part: The tensor.
        images: Places in the training set of the examples that it is so for.
        places: What these are, in words.
        grown: Weights that had grown a hundredfold in the step before.
    """

    step: int
    part: Part
    images: tuple[int, ...] = ()
    places: tuple[str, ...] = ()
    grown: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"First {self.part} at step {self.step}"
        text += "".join(f"; {beside}" for beside in self.part.beside)
        if self.places:
            more = f" and {len(self.places) - 3} more" if self.places[3:] else ""
            text += f"; seen of {', '.join(self.places[:3])}{more}"
        if self.grown:
            more = f", as did {len(self.grown) - 1} others" if self.grown[1:] else ""
            text += f". In the step before {self.grown[0]}{more}"
        return f"{text}."


class Remade:
    """A run as it was before some step, made anew from its parts.

    Args:
        launch: Directory, seed and the like.
        settings: The arguments of `train`.
        folder: What was saved of a bad step, if anything: then no data are needed.
    """

    def __init__(
        self, launch: Launch, settings: dict[str, Any], folder: pathlib.Path | None
    ) -> None:
        self.launch, self.given, self.folder = launch, settings, folder
        self.record = run_dir.read_json(launch.run_dir / run_dir.RUN)
        self.method: Method = settings["method"]
        self._source: sources.Source | None = None
        self._setup()
        names = named_variables(self.method)
        by_id = {id(v): name for name, v in names.items()}
        optimizer = self.method.optimizer
        self.variables = names | named_optimizer_variables(optimizer, by_id)
        self.step = -1
        self.grown: tuple[str, ...] = ()
        # What led to the last two steps that were taken apart.
        self.states: collections.deque[tuple[int, Any]] = collections.deque(maxlen=2)

    def _setup(self) -> None:
        given, record = self.given, self.record
        size, per_epoch = given["batch_size"], record["steps_per_epoch"]
        images = record["data"]["images"]
        clock = schedules.Clock(record["total_steps"], per_epoch, images)
        local = limits.local_rows(size, given["accumulate"])
        spec = limits.local_spec(self._spec(), local)
        self.method.setup(spec, clock, given["terms"], given["accumulate"])
        optimizing.compile_method(
            self.method,
            clock,
            given["optimizer"],
            given["learning_rate"](clock),
            optimizing.SCALES[given["learning_rate_scale"]](size),
            given["rates"],
            given["weight_decay"],
        )

    def _spec(self) -> Any:
        saved = saved_batch.steps(self.folder) if self.folder is not None else []
        if saved:
            batch = self.batch(saved[0])
            return tf.nest.map_structure(tf.TensorSpec.from_tensor, batch)
        return self.batches(0).element_spec

    @functools.cached_property
    def batches(self) -> Any:
        """The run's pipeline, from a step on."""
        given = self.given
        partners = given["partners"]
        prepared = partners and partners.prepare(self.source, given["max_corrupt"])
        return functools.partial(
            pipeline.training_batches,
            self.source,
            given["views"],
            given["batch_size"],
            self.launch.seed,
            max_corrupt=given["max_corrupt"],
            partners=prepared,
        )

    @property
    def source(self) -> sources.Source:
        """What the run trains on; opened only if it is asked for."""
        if self._source is None:
            split = self.given["split"]
            name = self.given["data"]
            self._source = sources.open_source(name, split, self.launch.data_dir)
        return self._source

    def batch(self, step: int) -> dict[str, Any]:
        """The global batch of a step, from 1: as it was saved, or rendered anew."""
        if self.folder is not None and self._saved(step):
            return saved_batch.read(saved_batch.path(self.folder, step))
        return next(iter(self.batches(step - 1)))

    def start(self, step: int) -> int:
        """Restores the last good state that is not after a step.

        Returns:
            The step of that state; 0 for weights as they were drawn.
        """
        for path in self._states():
            arrays, meta = weights_file.load(path)
            if meta["step"] <= step and not bad_arrays(arrays):
                weights_file.assign(self.variables, arrays, str(path))
                self.step = int(meta["step"])
                return self.step
        self.step = 0
        if self.launch.init_from:
            encoders.start_from(self.method.encoder, self.launch.init_from)
            for memory in self.method.memories:
                memory.on_built()
        return 0

    def _states(self) -> list[pathlib.Path]:
        """Files with states, the newest first."""
        saved = [self.folder / STATE] if self.folder else []
        found = checkpoints(self.launch.run_dir / run_dir.CHECKPOINTS)
        return [*(p for p in saved if p.exists()), *reversed(found)]

    def go_to(self, step: int) -> None:
        """Trains on, as the run did, until a step is made."""
        if step <= self.step:
            return
        iterator = self._iterator(step)
        train = self.method.make_train_function()
        for _ in range(step - self.step):
            train(iterator)
        self.step = step

    def _iterator(self, last: int) -> Iterator[Any]:
        """Batches of the steps after this one until a last one."""
        steps = range(self.step + 1, last + 1)
        if distribute.replicas() == 1 and all(map(self._saved, steps)):
            return map(self.batch, steps)
        make = functools.partial(self.batches, self.step)
        return iter(distribute.batches(make, self.method.distribute_strategy))

    def _saved(self, step: int) -> bool:
        folder = self.folder
        return folder is not None and saved_batch.path(folder, step).exists()

    def parts(self) -> Iterator[tuple[int, Part]]:
        """Takes the next step, and yields its parts; after the last it is made."""
        step = self.step + 1
        for part in anatomy.of_step(self.method, self.batch(step)):
            yield step, part
        before = self._largest()
        self.go_to(step)
        self.grown = tuple(
            f"{name} grew from {before[name]:.3g} to {now:.3g}"
            for name, now in self._largest().items()
            if not now <= _FAST * max(before[name], _SMALL)
        )
        for part in anatomy.of_state(self.variables):
            yield step, part

    def first_bad(self, last: int) -> Found | None:
        """The first part of the steps up to `last` that holds what is no number."""
        while self.step < last:
            self.states.append((self.step, weights_file.values(self.variables)))
            for step, part in self.parts():
                if self.is_amiss(part):
                    return self.found(step, part)
        return None

    def is_amiss(self, part: Part) -> bool:
        """Whether a part should be numbers, and is not."""
        scaled = isinstance(self.method.optimizer, keras.optimizers.LossScaleOptimizer)
        # With a loss scale an overflow is normal: such a step is skipped.
        return bool(part.bad) and not (scaled and part.what.startswith("the gradient"))

    def found(self, step: int, part: Part) -> Found:
        """What to say of a part that is amiss."""
        index = self.batch(step)["index"].numpy()[list(part.rows)]
        where = self._source.where if self._source is not None else None
        name = self.record["data"]["source"]
        said = [where(int(i)) if where else f"image {i} of {name!r}" for i in index]
        images = tuple(int(i) for i in index)
        return Found(step, part, images, tuple(said), self.grown)

    def _largest(self) -> dict[str, float]:
        """The greatest size of an entry of each weight that is trained."""
        return {
            name: float(tf.reduce_max(tf.abs(tf.convert_to_tensor(v.value))))
            for name, v in self.variables.items()
            if v.trainable and not name.startswith("optimizer/")
        }


def bad_arrays(arrays: dict[str, Any]) -> list[str]:
    """Names of the arrays that hold what is no number."""
    return [
        name
        for name, value in arrays.items()
        if anatomy.is_float(value) and anatomy.part(name, value).bad
    ]


def remade(launch: Launch, folder: pathlib.Path | None = None) -> Remade:
    """Makes the run that is configured now anew, with weights as they were drawn."""
    found: list[Remade] = []

    def instead(launch: Launch, **settings: Any) -> dict[str, Any]:
        found.append(Remade(launch, settings, folder))
        return {}

    keras.utils.set_random_seed(launch.seed)
    config.call("train", launch=dataclasses.replace(launch, instead=instead))
    return found[0]
