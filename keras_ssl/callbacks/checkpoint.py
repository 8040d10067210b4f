"""Saves and restores everything that a run needs to go on as if never stopped."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras

from keras_ssl.core import distribute, weights_file
from keras_ssl.core.console import say
from keras_ssl.core.registry import register
from keras_ssl.core.tracing import named_optimizer_variables, named_variables


@register("callback")
class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer and memories, at epoch ends or every so many steps.

    Args:
        every_epochs: Epochs between saves; 0 for none but the last.
        every_steps: Steps between saves, beside those at epoch ends; 0 for none.
        keep: Number of the newest checkpoints that stay.

    Attributes:
        notes: Functions whose answers, anything that JSON can hold, are saved beside
            the variables, by name.
        noted: The answers that were in the restored checkpoint.

    Raises:
        ValueError: If a number is negative or `keep` is not positive.
    """

    def __init__(
        self, every_epochs: int = 1, every_steps: int = 0, keep: int = 3
    ) -> None:
        super().__init__()
        if min(every_epochs, every_steps) < 0 or keep < 1:
            raise ValueError(
                "every_epochs and every_steps must be at least 0 and keep at least 1; "
                f"got {every_epochs}, {every_steps} and {keep}."
            )
        self.every_epochs, self.every_steps, self.keep = every_epochs, every_steps, keep
        self.directory = pathlib.Path()
        self.notes: dict[str, Callable[[], Any]] = {}
        self.noted: dict[str, Any] = {}
        self.seconds = 0.0
        self._saved = -1

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
        self.directory = directory
        self.set_model(model)
        names = named_variables(model)
        by_id = {id(v): name for name, v in names.items()}
        self.variables = names | named_optimizer_variables(model.optimizer, by_id)
        paths = checkpoints(directory)
        for path in reversed(paths):
            try:
                arrays, meta = weights_file.load(path)
            except ValueError as error:
                say(f"{error} Trying the one before.")
                continue
            weights_file.assign(self.variables, arrays, str(path))
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
        """Writes a checkpoint of the current step, unless there is one."""
        step = self.step()
        if step == self._saved:
            return
        start = time.perf_counter()
        # Every worker takes part in reading; one of them writes.
        arrays = weights_file.values(self.variables)
        notes = {name: note() for name, note in self.notes.items()}
        if distribute.is_chief():
            path = self.directory / f"step_{step:09d}.npz"
            weights_file.save(path, arrays, {"step": step, "notes": notes})
            for old in checkpoints(self.directory)[: -self.keep]:
                old.unlink()
        self._saved = step
        self.seconds += time.perf_counter() - start

    def step(self) -> int:
        """Updates made so far, over all sittings of the run."""
        return int(self.model.optimizer.iterations.numpy())

    def digest(self) -> str:
        """SHA-256 over all saved variables."""
        return weights_file.digest(weights_file.values(self.variables))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
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
