"""Signals and a time limit: a run is asked to stop, and stops at the end of a step."""

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from keras_ssl.core import startup
from keras_ssl.core.console import say


class Reason(NamedTuple):
    """Why a run stops: how it is called, and the status that its process ends with."""

    name: str
    status: int


# Statuses as a shell gives them to what a signal ends; EX_TEMPFAIL of sysexits.h: try
# again, which queues take as the wish to be started anew.
REASONS = {
    signal.SIGINT: Reason("SIGINT", 130),
    signal.SIGTERM: Reason("SIGTERM", 143),
    signal.SIGALRM: Reason("time limit", 75),
}
BY_NAME = {reason.name: reason for reason in REASONS.values()}


class Stopped(KeyboardInterrupt):
    """Ends a run that was asked to stop, through Keras's `fit` as Ctrl-C does.

    Attributes:
        reason: Why.
        together: Whether all workers stop at this step.
    """

    def __init__(self, reason: Reason, together: bool = False) -> None:
        super().__init__(reason.name)
        self.reason, self.together = reason, together


class Stopping:
    """Listens for SIGTERM, SIGINT and the end of a time limit; a context manager.

    What comes is noted. While `busy`, whoever set it acts on it, at the end of a step;
    else `Stopped` is raised where the program is. Whatever does not end within the
    grace is ended from outside, and a second SIGINT ends at once; the last checkpoint
    stands then. Handlers are put back when it is left.

    Attributes:
        busy: Whether a step is being made that should be finished.
        noted: Why the run is to stop, once it is.

    Args:
        grace: Seconds in which a run that was asked to stop must have ended, positive.
        max_seconds: Seconds from the start of the process after which it stops; none
            if 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, grace: float = 120.0, max_seconds: float = 0.0) -> None:
        if not grace > 0 or not max_seconds >= 0:
            raise ValueError(
                "grace must be positive and max_seconds at least 0 (no limit), got "
                f"{grace} and {max_seconds}."
            )
        self.grace, self.max_seconds = grace, max_seconds
        self.busy = False
        self.noted: Reason | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._end: threading.Timer | None = None

    def __enter__(self) -> "Stopping":
        # Python takes signals in its first thread only.
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.getsignal(number) for number in REASONS}
            self.listen()
            if self.max_seconds:
                left = self.max_seconds - (time.monotonic() - startup.BEGUN)
                signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3))
        return self

    def listen(self) -> None:
        """Takes signals anew: TensorFlow's runtime of several workers takes SIGTERM."""
        for number in self._handlers:
            signal.signal(number, self._handle)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handlers:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self._end is not None:
            self._end.cancel()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        reason = REASONS[signal.Signals(number)]
        if self.noted is not None:
            if number == signal.SIGINT:
                self._end_now(reason, "Interrupted again")
            return
        self.noted = reason
        late = f"Not at the end of a step within {self.grace:g} s (--grace)"
        self._end = threading.Timer(self.grace, self._end_now, (reason, late))
        self._end.daemon = True
        self._end.start()
        if not self.busy:
            raise Stopped(reason)
        say(f"\n{reason.name}: stopping at the end of this step.")

    def _end_now(self, reason: Reason, why: str) -> None:
        say(f"\n{why}: ended without a save; the last checkpoint stands.")
        os._exit(reason.status)
