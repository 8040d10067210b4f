"""Saves and restores everything that a run needs to go on as if never stopped."""

import pathlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import keras

from keras_ssl.core import distribute, durable, formats, weights_file
from keras_ssl.core.background import Background
from keras_ssl.core.console import say
from keras_ssl.core.registry import register
from keras_ssl.core.tracing import named_optimizer_variables, named_variables


@register("callback")
class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer and memories, at epoch ends or every so many steps.

    Training stands still while values are copied to the host's memory; a thread then
    writes them, one checkpoint at a time. What goes wrong there is raised at the next
    step, save or `wait`. A context manager: leaving waits for what is being written.

    Args:
        every_epochs: Epochs between saves; 0 for none but the last.
        every_steps: Steps between saves, beside those at epoch ends; 0 for none.
        keep: Number of the newest checkpoints that stay.
        every_minutes: Minutes between saves, beside those; 0 for none. At most so much
            is lost when a run is killed.
        background: Whether training goes on while a checkpoint is written.

    Attributes:
        notes: Functions whose answers, anything that JSON can hold, are saved beside
            the variables, by name.
        noted: The answers that were in the restored checkpoint.
        seconds: How long training stood still for saves.

    Raises:
        ValueError: If a number is negative or `keep` is not positive.
    """

    def __init__(
        self,
        every_epochs: int = 1,
        every_steps: int = 0,
        keep: int = 3,
        every_minutes: float = 5.0,
        background: bool = True,
    ) -> None:
        super().__init__()
        if min(every_epochs, every_steps, every_minutes) < 0 or keep < 1:
            raise ValueError(
                "every_epochs, every_steps and every_minutes must be at least 0 and "
                f"keep at least 1; got {every_epochs}, {every_steps}, {every_minutes} "
                f"and {keep}."
            )
        self.every_epochs, self.every_steps, self.keep = every_epochs, every_steps, keep
        self.every_minutes, self.background = every_minutes, background
        self.directory = pathlib.Path()
        self.notes: dict[str, Callable[[], Any]] = {}
        self.noted: dict[str, Any] = {}
        self.seconds = 0.0
        self._saved = -1
        self._writer = Background()
        self._copies: dict[str, Any] = {}

    def open(self, directory: pathlib.Path, model: keras.Model) -> int:
        """Restores the newest checkpoint into `model`, if there is one.

        Args:
            directory: Where checkpoints are.
            model: Built and compiled, its optimizer built.

        Returns:
            The step to go on from; 0 for a new run.

        Raises:
            ValueError: If the checkpoints do not fit the model or all are damaged.
        """
        self.directory, self._copies = directory, {}
        self.set_model(model)
        names = named_variables(model)
        by_id = {id(v): name for name, v in names.items()}
        self.variables = names | named_optimizer_variables(model.optimizer, by_id)
        if distribute.is_chief():
            durable.sweep(directory, "step_*.npz", alone=True)
        paths = checkpoints(directory)
        damaged: list[pathlib.Path] = []
        for path in reversed(paths):
            try:
                arrays, meta = weights_file.load(path)
            except ValueError as error:
                say(f"{error} Trying the one before.")
                damaged.append(path)
                continue
            formats.check(meta, path)
            try:
                weights_file.assign(self.variables, arrays, str(path))
            except ValueError as error:
                raise ValueError(f"{error}{formats.hint(meta)}") from error
            _put_away(damaged, path)
            self._saved = int(meta["step"])
            self.noted = meta.get("notes", {})
            return self._saved
        if paths:
            raise ValueError(
                f"All {len(paths)} checkpoints in {directory} are damaged. Remove the "
                "folder to start anew."
            )
        return 0

    def save(self) -> None:
        """Saves the current step, unless that was done; it may be on disk later.

        Raises:
            durable.WriteError: If this one, or the one before, cannot be written.
        """
        step = self.step()
        if step == self._saved:
            return
        start = time.perf_counter()
        # Of the values there is one copy, which is written over.
        self._writer.wait()
        # Every worker takes part in reading; one of them writes.
        self._copies = weights_file.values(self.variables, self._copies)
        notes = {name: note() for name, note in self.notes.items()}
        if distribute.is_chief():
            self._writer.start(self._write, step, self._copies, notes)
            if not self.background:
                self._writer.wait()
        self._saved = step
        self.seconds += time.perf_counter() - start

    @property
    def step_saved(self) -> int:
        """Step of the newest checkpoint of this sitting; -1 if there is none."""
        return self._saved

    @property
    def is_writing(self) -> bool:
        """Whether what was saved is not on disk yet."""
        return self._writer.busy

    def wait(self) -> None:
        """Returns once what was saved is on disk.

        Raises:
            durable.WriteError: If it could not be written.
        """
        start = time.perf_counter()
        self._writer.wait()
        self.seconds += time.perf_counter() - start

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except Exception as another:
            if error is None:
                raise
            # What came first is what to tell; this must not be lost for it.
            say(f"Nor could the last checkpoint be written: {another}")

    def _write(
        self, step: int, arrays: Mapping[str, Any], notes: Mapping[str, Any]
    ) -> None:
        """Brings a checkpoint to disk, then removes those that are too many."""
        # First the rows that belong before it: power may fail as well.
        for rows in self.directory.parent.glob("*.jsonl"):
            durable.sync(rows)
        path = self.directory / f"step_{step:09d}.npz"
        weights_file.save(path, arrays, {"step": step, "notes": notes})
        for old in checkpoints(self.directory)[: -self.keep]:
            old.unlink()

    def step(self) -> int:
        """Updates made so far, over all sittings of the run."""
        return int(self.model.optimizer.iterations.numpy())

    def digest(self) -> str:
        """SHA-256 over all saved variables; waits as `wait` does."""
        self.wait()
        self._copies = weights_file.values(self.variables, self._copies)
        return weights_file.digest(self._copies)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._writer.check()
        if self.every_steps:
            step = self.step()
            if step - max(self._saved, 0) >= self.every_steps:
                self.save()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.every_epochs and (epoch + 1) % self.every_epochs == 0:
            self.save()


def checkpoints(directory: pathlib.Path) -> list[pathlib.Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(directory.glob("step_*.npz"))


def _put_away(damaged: list[pathlib.Path], used: pathlib.Path) -> None:
    """Renames checkpoints that nobody can read, so that they are not counted."""
    for path in damaged:
        aside = path.with_name(f"damaged_{path.name}")
        if distribute.is_chief():
            path.replace(aside)
        say(f"It stays as {aside.name}; the run goes on from {used}.")
