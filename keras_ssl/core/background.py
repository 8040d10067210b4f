"""One piece of work at a time, done while training goes on."""

import threading
from collections.abc import Callable
from typing import Any


class Background:
    """Does one piece of work in a thread; what goes wrong there is raised here.

    The thread ends with its work, and a process that ends waits for it.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[..., Any], *args: Any) -> None:
        """Waits for earlier work, then begins this.

        Raises:
            BaseException: What went wrong in the earlier work.
        """
        self.wait()

        def run() -> None:
            try:
                work(*args)
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="background")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether there is work that goes on."""
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """Goes on at once, unless work has failed.

        Raises:
            BaseException: What went wrong.
        """
        if not self.busy:
            self.wait()

    def wait(self) -> None:
        """Returns when there is no work any more.

        Raises:
            BaseException: What went wrong in it, once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
