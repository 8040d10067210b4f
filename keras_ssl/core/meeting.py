"""Workers of a run meet: they agree before they train, and miss one that is gone.

TensorFlow waits for ever for a worker that does not come, and of one that is lost it
speaks in the words of its own wires. So workers hold a connection to the chief for as
long as the run lasts: at its address, before TensorFlow takes it over for its own.
"""

import json
import os
import queue
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from keras_ssl.core import arrival, config
from keras_ssl.core.agreement import Agreement
from keras_ssl.core.cluster import Cluster
from keras_ssl.core.console import say
from keras_ssl.core.line import Line, Message
from keras_ssl.core.stopping import Stopped

# Whoever is stuck in TensorFlow, which notices a loss in 10 s, is ended after these.
_GRACE = 20.0
# Seconds in which a connection's end is noticed after TensorFlow noticed its own.
_SOON = 5.0
# Mistakes that say themselves what is wrong.
_CLEAR = (ValueError, TypeError, KeyError, FloatingPointError, OSError)


class Meeting:
    """The workers of a run, each in a process of its own; a context manager.

    Entering waits for all of them. Leaving waits too, so that none misses another that
    is ready; an error that leaves it ends the run on every worker with one sentence.

    Args:
        cluster: Who they are; a process alone by default.
        timeout: Seconds to wait for a worker that does not arrive, or is silent.

    Raises:
        ValueError: If `timeout` is not positive.
    """

    def __init__(self, cluster: Cluster | None = None, timeout: float = 300.0) -> None:
        if timeout <= 0:
            raise ValueError(f"worker_timeout must be positive, got {timeout}.")
        self.cluster, self.timeout = cluster or Cluster(), timeout
        self.failure: str | None = None
        self._lines: dict[int, Line] = {}
        self._inbox: queue.Queue[tuple[int, Message] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._failed, self._left = threading.Event(), threading.Event()
        self._ready: set[int] = set()
        self.agreement = Agreement(
            self.cluster.index, self.count, self._tell, lambda: self.failure
        )

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self.cluster.addresses)

    def __enter__(self) -> "Meeting":
        """Waits for every worker.

        Raises:
            ConnectionError: If one does not arrive in time.
            ValueError: If two say that they are the same one, or TF_CONFIG differs.
        """
        if self.count > 1:
            come = arrival.gather if self.cluster.index == 0 else arrival.join
            self._lines = come(self.cluster, self.timeout)
            for who, line in self._lines.items():
                self._start(self._listen, who, line)
            self._start(self._beat)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.count == 1:
                return
            if error is None or (isinstance(error, Stopped) and error.together):
                self._part()
                return
            # TensorFlow's account of a loss may come before the loss is seen here.
            if isinstance(error, Exception) and not isinstance(error, _CLEAR):
                self._failed.wait(_SOON)
                if self.failure is not None:
                    raise ConnectionError(self.failure) from None
            why = config.explain(error) or "it was stopped"
            self._tell({"failed": f"{self._called()} stopped: {why}"})
        finally:
            self._left.set()
            for line in self._lines.values():
                line.close()

    def everyone(self, what: str, value: Any) -> list[Any]:
        """Tells a value to all workers; every one calls this with the same `what`.

        Args:
            what: Name of the value.
            value: Anything that JSON can hold.

        Returns:
            The values of all, the chief's first.

        Raises:
            ConnectionError: If a worker is lost.
        """
        message = json.loads(json.dumps({"what": what, "value": value}))
        if self.cluster.index > 0:
            self._tell(message)
            return self._next(what)[1]["values"]
        found = {0: message["value"]}
        while len(found) < self.count:
            who, theirs = self._next(what)
            found[who] = theirs["value"]
        values = [found[who] for who in range(self.count)]
        self._tell({"what": what, "values": values})
        return values

    def same(self, facts: Mapping[str, Any]) -> None:
        """Refuses to go on if workers differ in any of these.

        Args:
            facts: Values that JSON can hold, by what they are.

        Raises:
            ValueError: On every worker, naming what differs.
        """
        first, *others = self.everyone("facts", dict(facts))
        names = self.cluster.names
        found = [
            f"{key} is {first.get(key, 'not set')} at {names[0]} and "
            f"{theirs.get(key, 'not set')} at {name}"
            for name, theirs in zip(names[1:], others, strict=True)
            for key in sorted({*first, *theirs})
            if first.get(key) != theirs.get(key)
        ]
        if found:
            more = f" (and {len(found) - 3} more)" if found[3:] else ""
            raise ValueError(
                f"The workers of a run must be alike: {'; '.join(found[:3])}{more}. "
                "Start all with the same command, code, packages and run_dir."
            )

    def _part(self) -> None:
        """Waits until all others are ready to end too."""
        if self.cluster.index > 0:
            self._tell({"ready": True})
        while len(self._ready) < len(self._lines):
            if self._failed.wait(0.05):
                raise ConnectionError(self.failure)
        if self.cluster.index == 0:
            self._tell({"ready": True})

    def _next(self, what: str) -> tuple[int, Message]:
        item = self._inbox.get() if self.failure is None else None
        if item is None:
            raise ConnectionError(self.failure)
        if item[1]["what"] != what:
            raise RuntimeError(
                f"{self.cluster.name(item[0])} is at {item[1]['what']!r}, not {what!r}."
            )
        return item

    def _called(self, who: int | None = None) -> str:
        """A worker's name at the start of a sentence; its own by default."""
        name = self.cluster.name(self.cluster.index if who is None else who)
        return name[0].upper() + name[1:]

    def _tell(self, message: Message) -> None:
        for line in self._lines.values():
            line.send(message)

    def _start(self, function: Any, *arguments: Any) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _beat(self) -> None:
        while not self._left.wait(min(5.0, self.timeout / 4)):
            self._tell({"beat": True})

    def _listen(self, who: int, line: "Line") -> None:
        """Hears one of the others until it is ready, or lost."""
        for message in line:
            if "what" in message:
                self._inbox.put((who, message))
            elif "turn" in message:
                self.agreement.hear(who, message["turn"])
            elif "failed" in message:
                self._fail(message["failed"])
                return
            elif "ready" in message:
                self._ready.add(who)
                return
        if not self._left.is_set():
            self._fail(
                f"{self._called(who)} is gone, so the run ends on every "
                "worker. Start all of them again with the same command: the run goes "
                "on from its last checkpoint."
            )

    def _fail(self, sentence: str) -> None:
        """Ends the run here, and where the chief tells it, on every worker."""
        with self._lock:
            if self.failure is not None:
                return
            # Before anybody here can see it, who would leave and close the lines.
            if self.cluster.index == 0:
                self._tell({"failed": sentence})
            self.failure = sentence
        self._failed.set()
        self._inbox.put(None)
        # A step that waits for others is only ended from outside.
        if not self._left.wait(_GRACE):
            say(f"error: {sentence}")
            os._exit(1)
