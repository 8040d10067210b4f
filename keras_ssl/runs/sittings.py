"""A run goes on over several sittings as if it were one."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_ssl import schedules
from keras_ssl.core import distribute, durable, run_dir

if TYPE_CHECKING:
    from keras_ssl.callbacks.checkpoint import Checkpoint
    from keras_ssl.callbacks.online_evaluation import OnlineEvaluation
    from keras_ssl.callbacks.recorder import Recorder
    from keras_ssl.methods.base import Method
    from keras_ssl.runs.records import Record

# What a run writes aside, beside its checkpoints.
_WRITTEN = (run_dir.CONFIG, run_dir.OPERATIVE, run_dir.RUN, "*.jsonl", run_dir.EXPORT)


def take_up(
    saver: "Checkpoint",
    logger: "Recorder",
    scored: "OnlineEvaluation | None",
    record: "Record",
    begun: float,
    now: Callable[[], float],
) -> float:
    """Goes on from what the restored checkpoint knows beside variables.

    And has further ones keep it: the means of steps that are in no line of
    metrics.jsonl yet, what the run took so far, and images that cannot be read.

    Args:
        saver: Opened already.
        logger: Counts time and gathers means.
        scored: Scores the encoder, if anything does.
        record: Knows the workers and their unreadable images.
        begun: When this sitting began.
        now: The clock that says so, seconds.

    Returns:
        When a run without breaks would have begun, to have taken as long.
    """
    if distribute.is_chief():
        for name in _WRITTEN:
            durable.sweep(record.directory, name)
    if "lines" in saver.noted:
        logger.restore(saver.noted["lines"])
    took = saver.noted.get("seconds", {})
    begun -= took.get("total", 0.0)
    logger.training_seconds += took.get("training", 0.0)
    logger.waiting_seconds += took.get("waiting_for_data", 0.0)
    saver.seconds += took.get("saving", 0.0)
    if scored is not None:
        scored.seconds += took.get("online_evaluation", 0.0)
    _take_up_unreadable(saver.noted.get("unreadable", []), record, logger)
    saver.notes |= {
        "lines": logger.state,
        "seconds": lambda: spent(saver, logger, scored, now() - begun),
        "unreadable": lambda: record.meeting.everyone(
            "unreadable so far", record.unreadable.state()
        ),
    }
    return begun


def spent(
    saver: "Checkpoint",
    logger: "Recorder",
    scored: "OnlineEvaluation | None",
    total: float,
) -> dict[str, float]:
    """Seconds that a run took so far, over all its sittings, by what took them."""
    return {
        "total": total,
        "training": logger.training_seconds,
        "waiting_for_data": logger.waiting_seconds,
        "online_evaluation": 0.0 if scored is None else scored.seconds,
        "saving": saver.seconds,
    }


def _take_up_unreadable(
    told: list[dict[str, Any]], record: "Record", logger: "Recorder"
) -> None:
    """Counts on from the images that each worker of the last sitting could not read."""
    record.elsewhere.update(int(i) for worker in told for i in worker["places"])
    workers = record.meeting.count
    # Of other workers than then none knows what it asked for.
    if len(told) == workers:
        asked = logger.start_step * logger.batch_size // workers
        record.unreadable.restore(told[record.meeting.cluster.index], asked)


class Sitting(keras.callbacks.CallbackList):
    """The callbacks of one sitting, which may take several calls of `fit`.

    They see the whole run's number of epochs, one beginning and one end. What they do
    at an epoch's end is done at least once, after a kill again: a run that goes on
    from an epoch's end cannot know how far they came.

    Args:
        hooks: The callbacks.
        model: The method.
        epochs: Of the whole run.
        steps: Of an epoch.
    """

    def __init__(
        self,
        hooks: list[keras.callbacks.Callback],
        model: "Method",
        epochs: int,
        steps: int,
    ) -> None:
        super().__init__(
            hooks, add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Nothing: `fit` may be called again."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """Nothing: `fit` may be called again."""

    def begin(self, epoch: int, within: int) -> None:
        """Begins, `within` steps after the end of epoch number `epoch`."""
        super().on_train_begin()
        if epoch and not within:
            self.on_epoch_end(epoch - 1)

    def end(self) -> None:
        """Ends the sitting."""
        super().on_train_end()


def fit(
    method: "Method",
    batches: Callable[..., tf.data.Dataset],
    epochs: int,
    clock: schedules.Clock,
    start: int,
    hooks: list[keras.callbacks.Callback],
    finished: bool = False,
) -> None:
    """Runs Keras's `fit`, after the rest of an epoch that was stopped within.

    Args:
        method: Compiled.
        batches: Makes global batches, or a `share=` of each, from a step on.
        epochs: Of the whole run.
        clock: Length of the run.
        start: Step to go on from.
        hooks: Callbacks.
        finished: Whether an earlier sitting did all of it.
    """
    if finished:
        return
    epoch, within = divmod(start, clock.steps_per_epoch)
    sitting = Sitting(hooks, method, epochs, clock.steps_per_epoch)
    sitting.begin(epoch, within)
    parts = [(epoch, epochs, clock.steps_per_epoch)]
    if within:
        rest = clock.steps_per_epoch - within
        parts = [(epoch, epoch + 1, rest), (epoch + 1, epochs, clock.steps_per_epoch)]
    method.stop_training = False
    for first, last, steps in parts:
        if first < last and not method.stop_training:
            method.fit(
                distribute.batches(
                    functools.partial(batches, start), method.distribute_strategy
                ),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=steps,
                callbacks=sitting,
                shuffle=False,
                verbose=0,
            )
            start += steps * (last - first)
    sitting.end()
