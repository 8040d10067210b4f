"""Writes what a run does: metrics.jsonl, TensorBoard, and progress on the screen."""

import math
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks import events
from keras_ssl.core import console, run_dir
from keras_ssl.core.bad_number import BadNumberError


class Recorder(keras.callbacks.Callback):
    """Logs the means of a step's scalars, rate and speed, and shows progress.

    Args:
        directory: The run's directory.
        batch_size: Images in a global batch.
        total_steps: Steps of the whole run.
        steps_per_epoch: Steps of one pass over the data.
        start_step: Step that this sitting starts from.
        every_steps: Steps between lines of `metrics.jsonl`.
        write: Whether this process writes (the chief).

    Raises:
        FloatingPointError: In training, at the first loss that is no number.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        batch_size: int,
        total_steps: int,
        steps_per_epoch: int,
        start_step: int = 0,
        every_steps: int = 10,
        write: bool = True,
    ) -> None:
        super().__init__()
        self.directory, self.batch_size = directory, batch_size
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.every_steps, self.write = every_steps, write
        self.step = self.start_step = start_step
        self.training_seconds = self.waiting_seconds = 0.0
        if write:
            events.forget_after(directory / run_dir.TENSORBOARD, start_step)
        self.writer = (
            tf.summary.create_file_writer(str(directory / run_dir.TENSORBOARD))
            if write
            else tf.summary.create_noop_writer()
        )
        self._window: dict[str, float] = {}
        self._shown = 0.0
        self._reset()

    def _reset(self) -> None:
        self._window, self._steps, self._seconds, self._waiting = {}, 0, 0.0, 0.0

    def state(self) -> dict[str, Any]:
        """What the next line is made from, for a checkpoint; brings lines to files."""
        # Else those of before the checkpoint would be lost with the process.
        self.writer.flush()
        return {
            "window": dict(self._window),
            "steps": self._steps,
            "seconds": self._seconds,
            "waiting": self._waiting,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` told in an earlier sitting."""
        self._window = dict(state["window"])
        self._steps = state["steps"]
        self._seconds, self._waiting = state["seconds"], state["waiting"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._begun = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._start = time.perf_counter()
        self._waited = self.model.seconds_waiting

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        seconds = time.perf_counter() - self._start
        waiting = self.model.seconds_waiting - self._waited
        steps = self.model.steps_per_execution
        self.step += steps
        if self.step > self.start_step + steps:  # The first step compiles.
            self.training_seconds += seconds
            self.waiting_seconds += waiting
        self._seconds += seconds
        self._waiting += waiting
        self._steps += steps
        for name, value in (logs or {}).items():
            self._window[name] = self._window.get(name, 0.0) + float(value) * steps
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            scalars = {name: float(value) for name, value in (logs or {}).items()}
            raise BadNumberError(self.step, scalars, steps)
        if self._steps >= self.every_steps or self.step == self.total_steps:
            self._log()

    def _log(self) -> None:
        row = {name: value / self._steps for name, value in self._window.items()}
        row |= {
            "learning_rate": float(self.model.optimizer.learning_rate),
            "images_per_second": self._steps * self.batch_size / self._seconds,
        }
        optimizer = self.model.optimizer
        # In float16 a loss scale is around it.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if callable(decay := getattr(optimizer, "weight_decay", None)):
            row["weight_decay"] = float(decay(optimizer.iterations))
        # Several steps to an execution fetch their data inside it, unseen from here.
        if self.model.steps_per_execution == 1:
            row["data_wait"] = self._waiting / self._seconds
        line: dict[str, Any] = {
            "step": self.step,
            "epoch": self.step / self.steps_per_epoch,
            "seconds": time.perf_counter() - self._begun,
            **row,
        }
        if self.write:
            run_dir.append_line(
                self.directory / run_dir.METRICS,
                {k: float(f"{v:.6g}") if k != "step" else v for k, v in line.items()},
            )
            with self.writer.as_default(self.step):
                for name, value in row.items():
                    tf.summary.scalar(f"{_GROUPS.get(name, 'objective')}/{name}", value)
        self._show(row)
        self._reset()

    def _show(self, row: dict[str, float]) -> None:
        """A line that is written over on a terminal, a line every 15 s elsewhere."""
        now = time.perf_counter()
        last = self.step >= self.total_steps
        if not self.write or (
            not console.interactive() and now - self._shown < 15 and not last
        ):
            return
        self._shown = now
        done = max(1, self.step - self.start_step)
        # Evaluations and saves so far are part of the pace.
        left = (now - self._begun) / done * (self.total_steps - self.step)
        share = self.step / self.total_steps
        waiting = (
            f"waiting for data {row['data_wait']:.0%}  " if "data_wait" in row else ""
        )
        text = (
            f"step {self.step}/{self.total_steps} ({share:.0%})  "
            f"loss {row.get('loss', math.nan):.4f}  "
            f"{row['images_per_second']:,.0f} images/s  "
            f"{waiting}{console.duration(left)} left"
        )
        if console.interactive():
            console.overwrite(text + ("\n" if last else ""))
        else:
            console.say(text)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.writer.flush()


# What TensorBoard shows side by side; all else comes from the objective.
_GROUPS = {
    "images_per_second": "speed",
    "data_wait": "speed",
    "learning_rate": "optimizer",
    "weight_decay": "optimizer",
}
