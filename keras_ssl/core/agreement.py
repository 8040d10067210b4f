"""Workers agree on the step after which all of them do something: save, or stop.

Steps hold collectives, so that a worker which alone saves or stops leaves the others
waiting for ever. Asking at every step would be another collective; this costs nothing
until somebody wants something. Whoever does tells the chief. The chief, at the end of
execution `n`, tells all "after `n + 2`" and waits for their answers before it begins
`n + 1`. Nobody can end `n + 1` without the chief, so all know in time.
"""

import threading
from collections.abc import Callable
from typing import Any

from keras_ssl.core.line import Message

# Ended by a loss of a worker, which is looked for as often.
_LOOK = 0.5


class Agreement:
    """What the workers of a run do together after the same step.

    Args:
        index: This worker's; the chief's is 0.
        count: How many workers there are.
        tell: Sends a message: the chief's to all others, anybody else's to the chief.
        lost: Says why the run ends everywhere, once it does.
    """

    def __init__(
        self,
        index: int = 0,
        count: int = 1,
        tell: Callable[[Message], None] = lambda message: None,
        lost: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._index, self._count, self._tell, self._lost = index, count, tell, lost
        self._change = threading.Condition()
        self._asked: set[str] = set()
        # By execution: the chief's next plan may arrive before the last is carried out.
        self._plans: dict[int, frozenset[str]] = {}
        self._answers: set[int] = set()
        self._done = 0

    def ask(self, what: str) -> None:
        """Wants something to be done by all, as soon as they can.

        Args:
            what: Its name.
        """
        if self._index > 0:
            self._tell({"turn": {"ask": what}})
            return
        with self._change:
            self._asked.add(what)

    def due(self) -> frozenset[str]:
        """What all do now; every worker asks at the end of every execution.

        Returns:
            Names of what was asked for, the same on every worker.

        Raises:
            ConnectionError: If a worker is lost while the chief waits for its answer.
        """
        with self._change:
            self._done += 1
            if self._count == 1:
                found, self._asked = frozenset(self._asked), set()
                return found
            found = self._plans.pop(self._done, frozenset())
            if self._index == 0 and self._asked and not self._plans:
                self._propose()
            return found

    def hear(self, who: int, turn: dict[str, Any]) -> None:
        """Takes in what another worker told, in the thread that listens to it.

        Args:
            who: Its index.
            turn: The message.
        """
        if "ask" in turn:
            self.ask(turn["ask"])
            return
        with self._change:
            if "answer" in turn:
                self._answers.add(who)
                self._change.notify_all()
                return
            self._plans[turn["after"]] = frozenset(turn["what"])
        self._tell({"turn": {"answer": turn["after"]}})

    def _propose(self) -> None:
        """Tells all others, and waits until they know."""
        after, what = self._done + 2, frozenset(self._asked)
        self._plans[after] = what
        self._asked, self._answers = set(), set()
        self._tell({"turn": {"after": after, "what": sorted(what)}})
        while len(self._answers) < self._count - 1:
            self._change.wait(_LOOK)
            if (why := self._lost()) is not None:
                raise ConnectionError(why)
