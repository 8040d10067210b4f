"""Watches for collapse without labels, on a small batch that stays the same."""

import math
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.probe import Probe
from keras_ssl.core import console, distribute, run_dir
from keras_ssl.core.registry import register
from keras_ssl.metrics.signs import COMPARED, GENERAL, STATES, Sign

if TYPE_CHECKING:
    from keras_ssl.methods.base import Method
    from keras_ssl.schedules import Clock

# A probe takes about as long as training on its images once.
_SHARE = 0.01
# Of a long run so many probes tell enough.
_PROBES = 200


@register("callback")
class Health(keras.callbacks.Callback):
    """Says whether a run is healthy, in doubt (warning) or collapsed, and why.

    The signs are those of features in general and those that the method declares as
    its own (`Method.signs`, `Method.compared`). The state changes after two probes in
    a row that agree. A probe changes nothing in the run: weights, statistics, memories
    and random numbers are what they would be without it.

    Args:
        every_steps: Steps between probes; 0 for none, None for so many that probes
            take about 1 % of the time.
        images: Training images in the probe, each in the views of its own.
        stop: Whether a collapse ends the run.
        replay: At a loss that is no number, steps from the last good checkpoint that
            are made again, at most, to find what went bad first; 0 for none.

    Raises:
        ValueError: If a number is out of range; in training at a collapse, if `stop`.
    """

    def __init__(
        self,
        every_steps: int | None = None,
        images: int = 256,
        stop: bool = False,
        replay: int = 1000,
    ) -> None:
        super().__init__()
        if min(every_steps or 0, replay) < 0 or images < 8:
            raise ValueError(
                "Health.every_steps and replay must be at least 0 and images at least "
                f"8; got {every_steps}, {replay} and {images}."
            )
        self.every_steps, self.images, self.stop = every_steps, images, stop
        self.replay = replay
        self.rows: list[dict[str, Any]] = []
        self.state = 0
        self.every = 0

    def open(
        self,
        directory: pathlib.Path,
        method: "Method",
        clock: "Clock",
        batch_size: int,
        make: Callable[[int], dict[str, Any] | None],
        writer: tf.summary.SummaryWriter,
        tell: Callable[..., None],
    ) -> "Health":
        """Says what to look at, where results go and what an earlier sitting found.

        Args:
            directory: The run's directory.
            method: Set up already.
            clock: Length of the run.
            batch_size: Images in a global batch.
            make: Renders a batch of so many images, the same ones each time.
            writer: TensorBoard's.
            tell: Notes facts of the run in run.json.
        """
        self.path, self.clock, self.make = directory / run_dir.HEALTH, clock, make
        self.writer, self.tell = writer, tell
        self.signs = (*GENERAL, *(COMPARED if method.compared else ()), *method.signs)
        self.every = self._period(batch_size)
        self.probe: Probe | None = None
        self.rows = run_dir.read_lines(self.path)
        self.state = STATES.index(self.rows[-1]["state"]) if self.rows else 0
        # A chief that ends alone would leave the other workers waiting.
        self.takes_part = bool(self.every) and (distribute.is_chief() or self.stop)
        return self

    def _period(self, batch_size: int) -> int:
        """Steps between probes; 0 where a run is too short for one."""
        total = self.clock.total_steps
        if self.every_steps is not None:
            return self.every_steps
        cheap = math.ceil(self.images / batch_size / _SHARE)
        every = max(cheap, math.ceil(total / _PROBES))
        return every if every <= total else 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        step = self.step()
        # One before training; or that which a kill after a save has cost.
        if self.takes_part and (step == 0 or self._due(step)):
            self.look(step)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.takes_part and self._due(step := self.step()):
            self.look(step)

    def step(self) -> int:
        """Updates made so far."""
        return int(self.model.optimizer.iterations.numpy())

    def _due(self, step: int) -> bool:
        # Several steps to an execution may pass over the one that was meant.
        last = step >= self.clock.total_steps
        return last or step % self.every < self.model.steps_per_execution

    def look(self, step: int) -> None:
        """Probes now, unless that step has been, and says what has changed."""
        if any(row["step"] == step for row in self.rows):
            return
        if self.probe is None:
            self.probe = Probe(self.model, self.signs, self.make, self.images)
        values = self.probe()
        first = self.rows[0]["signs"] if self.rows else {}
        judged = {
            sign: sign.state(values[sign.name], first.get(sign.name))
            for sign in self.signs
            if sign.name in values and self._armed(sign, step)
        }
        level = max(judged.values(), default=0)
        before, self.state = self.state, self._next(level)
        worst = [sign for sign, state in judged.items() if state == level and level]
        said = "; ".join(s.sentence(values[s.name], first.get(s.name)) for s in worst)
        # More digits than that tell nothing, and what is no number is no JSON.
        rounded = {
            k: float(f"{v:.6g}") if math.isfinite(v) else None
            for k, v in values.items()
        }
        state = STATES[self.state]
        row = {"step": step, "state": state, "level": STATES[level], "signs": rounded}
        self.rows.append({**row, "seen": said})
        self._write(self.rows[-1], before)

    def _armed(self, sign: Sign, step: int) -> bool:
        """Whether a sign is judged: it has been healthy once, or had time to be."""
        if step >= sign.since * self.clock.total_steps:
            return True
        first = self.rows[0]["signs"].get(sign.name) if self.rows else None
        past = (row["signs"].get(sign.name) for row in self.rows)
        return any(x is not None and not sign.state(x, first) for x in past)

    def _next(self, level: int) -> int:
        """The state after a probe: it moves where two in a row agree that it should."""
        last = STATES.index(self.rows[-1]["level"]) if self.rows else 0
        low, high = sorted((last, level))
        return min(max(self.state, low), high)

    def _write(self, row: dict[str, Any], before: int) -> None:
        if distribute.is_chief():
            run_dir.append_line(self.path, row)
            with self.writer.as_default(row["step"]):
                for name, value in row["signs"].items():
                    tf.summary.scalar(_tag(name), math.nan if value is None else value)
                tf.summary.scalar("health/state", float(self.state))
            self.tell(health={k: row[k] for k in ("step", "state", "seen")})
        text = f"step {row['step']}  health: {row['state']}. {row['seen']}"
        if self.state != before:
            if console.interactive():
                console.overwrite("")
            console.say(text.strip())
        if self.stop and STATES[self.state] == "collapsed":
            raise ValueError(
                f"The run has collapsed at step {row['step']}: {row['seen']} "
                "Health.stop ended it; its last checkpoint and health.jsonl are kept."
            )


def _tag(name: str) -> str:
    """What a sign is in TensorBoard: beside others of the same rows.

    Of the objective Recorder tells what it is in training.
    """
    group, _, own = name.partition("/")
    return f"health/{own}" if group == "objective" else name
