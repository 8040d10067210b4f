"""Counts images that cannot be read, and ends a run that has too many of them."""

import contextlib
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

from keras_ssl.core.console import say

# A share of fewer images says little: 1 of the first 20 may be the only one of all.
_ENOUGH = 1000
# As many lines are shown; a million would hide everything else.
_SHOWN = 20


class Unreadable:
    """The images of one source that could not be read so far.

    Attributes:
        places: Where they are, by index.
        substituted: How often one was replaced by an image that can be read.
        earlier: How many images earlier sittings of the run asked for.
        error: What ended the data, if too many were unreadable.
    """

    def __init__(self) -> None:
        self.places: dict[int, str] = {}
        self.substituted = self.earlier = 0
        self._lock = threading.Lock()
        self.error: ValueError | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.places)

    def add(self, index: int, place: str, error: Exception | None = None) -> None:
        """Notes an image, and says so the first time.

        Args:
            index: Of the image.
            place: Where it is, in words.
            error: What reading it raised.
        """
        with self._lock:
            if index in self.places:
                return
            self.places[index] = place
        if self.count <= _SHOWN:
            why = f" ({reason(error)})" if error is not None else ""
            say(f"Left out an image that cannot be read: {place}{why}")
        if self.count == _SHOWN:
            say("Further ones are counted only.")

    def check(self, seen: int, total: int, most: float) -> None:
        """Ends a run that has too many.

        Args:
            seen: How many different images this sitting asked for.
            total: How many the source has.
            most: The greatest share, in [0, 1].

        Raises:
            ValueError: If none of them is readable, or more than the share, rounded up
                to whole images.
        """
        seen += self.earlier
        asked = min(max(seen, self.count + self.substituted), total)
        # A share of the whole is certain; one of those seen needs enough of them.
        base = asked if asked >= _ENOUGH else total
        if self.count == asked >= min(total, _ENOUGH):
            words = f"None of {asked} images can be read", "Check that they are images."
        elif self.count > math.ceil(most * base):
            words = (
                f"{self.count} of {base} images cannot be read",
                f"At most {most:.2%} may be: mend or remove them, or raise "
                "train.max_corrupt.",
            )
        else:
            return
        places = ", ".join(list(self.places.values())[:3])
        self.error = ValueError(f"{words[0]}, such as {places}. {words[1]}")
        raise self.error

    def state(self) -> dict[str, Any]:
        """What a later sitting goes on from, as JSON can hold it."""
        with self._lock:
            places = {str(index): place for index, place in self.places.items()}
            return {"places": places, "substituted": self.substituted}

    def restore(self, state: dict[str, Any], earlier: int) -> None:
        """Goes on from what `state` told in an earlier sitting.

        Args:
            state: What it told.
            earlier: How many images were asked for until then.
        """
        with self._lock:
            self.places = {int(i): place for i, place in state["places"].items()}
            self.substituted, self.earlier = state["substituted"], earlier

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raises what ended the data instead of TensorFlow's account of it.

        Raises:
            ValueError: As `check`.
        """
        try:
            yield
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise


def reason(error: Exception) -> str:
    """The line of an error of TensorFlow that says what is wrong."""
    text = str(getattr(error, "message", error))
    text = text.rpartition("}}")[2] or text
    if "Too many pixels" in text:
        # An assertion's, with its numbers in lines or brackets of their own.
        text = text[text.index("Too many pixels") :]
        text = " ".join(re.sub(r"\bb'|['\[\],]", " ", text).split())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].partition(" [Op:")[0][:160] if lines else type(error).__name__
