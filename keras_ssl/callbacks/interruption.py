"""Stops a run at the end of a step, and saves by the clock: on all workers alike."""

import contextlib
import time
from collections.abc import Iterator

import keras

from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core import distribute, stopping
from keras_ssl.core.agreement import Agreement
from keras_ssl.core.stopping import Stopped, Stopping

_SAVE = "save"


class Interruption(keras.callbacks.Callback):
    """Acts on signals and the time limit, and on the clock of `Checkpoint`.

    Stands behind the saver among the callbacks, and before what may take long.

    Args:
        signals: What was noted.
        agreement: With the other workers, if there are any.
        saver: Saves.
        alone: Whether there are no other workers. Alone, a run also stops at once in
            the middle of an evaluation; several end their evaluation and a step first.
    """

    def __init__(
        self, signals: Stopping, agreement: Agreement, saver: Checkpoint, alone: bool
    ) -> None:
        super().__init__()
        self.signals, self.agreement, self.saver = signals, agreement, saver
        self.alone = alone
        self._between, self._steps, self._told = False, 0, False
        self._last = time.monotonic()
        self._saved = saver.step_saved

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Saves what there is when the run stops between two steps."""
        try:
            yield
        except Stopped as stop:
            if self._between and (stop.together or self.alone):
                self.saver.save()
                self.saver.wait()
            raise
        finally:
            self.signals.busy = False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._between = False
        # Until the first step, which compiles, there is nothing to lose.
        self.signals.busy = self._steps > 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.signals.busy = self._between = True
        self._steps += 1
        if self.signals.noted is not None and not self._told:
            self._told = True
            self.agreement.ask(self.signals.noted.name)
        elif self._is_late():
            self._last = time.monotonic()
            self.agreement.ask(_SAVE)
        due = self.agreement.due()
        if _SAVE in due:
            self.saver.save()
        if reasons := due & stopping.BY_NAME.keys():
            raise Stopped(stopping.BY_NAME[min(reasons)], together=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.alone:
            return
        if self.signals.noted is not None:
            raise Stopped(self.signals.noted)
        # What follows may take long, and changes nothing that is saved.
        self.signals.busy = False

    def _is_late(self) -> bool:
        """Whether the last save is as old as may be; the chief's clock counts."""
        if not self.saver.every_minutes or not distribute.is_chief():
            return False
        if self.saver.step_saved != self._saved:
            self._saved, self._last = self.saver.step_saved, time.monotonic()
        return time.monotonic() - self._last >= 60 * self.saver.every_minutes
