"""A connection between two workers."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]


class Line:
    """Messages over a connection, one JSON object a line.

    Args:
        connection: To the other side.
        timeout: Seconds after which silence is taken for an end.
    """

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        connection.settimeout(timeout)
        self.connection = connection
        self._timeout = timeout
        self._file = connection.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Sends a message; whoever listens notices if that fails."""
        try:
            with self._lock:
                self.connection.settimeout(self._timeout)
                self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return

    def receive(self, timeout: float) -> Message | None:
        """The next message; None at the end, after a timeout or of nonsense."""
        try:
            self.connection.settimeout(timeout)
            found = json.loads(self._file.readline())
            return found if isinstance(found, dict) else None
        except (OSError, ValueError):
            return None

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive(self._timeout)) is not None:
            yield message

    def ended(self) -> bool:
        """Whether the other side has closed it."""
        try:
            self.connection.settimeout(0.0)
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Closes the connection."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
