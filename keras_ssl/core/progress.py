"""How far a long piece of work is: a line now and then, with its rate and time left."""

import time

from keras_ssl.core import console

# Seconds between lines where a line cannot be written over.
_PAUSE = 15.0


class Progress:
    """Shows the progress of one piece of work.

    Args:
        what: What is done, at the start of the line.
        total: Number of units of work, positive.
        unit: What is counted, in the plural.
    """

    def __init__(self, what: str, total: int, unit: str = "steps") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done, self._begun = 0, time.perf_counter()
        self._shown = self._begun

    def add(self, count: int = 1, note: str = "") -> None:
        """Counts what was done; shows it where the last line is old enough.

        Args:
            count: Units done since the last call.
            note: What else to say, such as the loss.
        """
        self.done += count
        now, last = time.perf_counter(), self.done >= self.total
        pause = 0.2 if console.interactive() else _PAUSE
        if now - self._shown < pause and not (last and console.interactive()):
            return
        self._shown = now
        pace = (now - self._begun) / self.done
        text = (
            f"{self.what}: {self.done}/{self.total} {self.unit} "
            f"({self.done / self.total:.0%})  {1 / pace:,.1f} {self.unit}/s  "
            f"{note}{'  ' if note else ''}"
            f"{console.duration(pace * (self.total - self.done))} left"
        )
        if console.interactive():
            console.overwrite("" if last else text)
        else:
            console.say(text)
