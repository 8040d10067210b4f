"""One process at a time on a directory: by a lock that no dead process holds."""

import contextlib
import datetime
import json
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import Any

from keras_ssl.core.console import say

try:
    import fcntl
except ImportError:  # Not on Windows.
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextlib.contextmanager
def held(directory: str | os.PathLike[str], flag: str = "--run_dir") -> Iterator[None]:
    """Holds a directory, which is made if need be.

    The lock is the kernel's, on the file `.lock`: it goes with its process, however
    that ends. The file says who holds it. On leaving it is removed, and the directory
    too if nothing came into it. On file systems without locks a line says so.

    Args:
        directory: What is held.
        flag: What gives another directory, for the error.

    Raises:
        ValueError: If another process holds it; nothing was changed then.
    """
    path = pathlib.Path(directory) / NAME
    made = not path.parent.exists()
    file = _take(path, flag)
    try:
        if file is not None:
            os.ftruncate(file, 0)
            os.write(file, json.dumps(_myself()).encode())
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            os.close(file)
        if made:
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def _take(path: pathlib.Path, flag: str) -> int | None:
    """The file descriptor that holds the lock; None where there are no locks."""
    while True:
        file = _open(path)
        try:
            if not _lock(file):
                raise ValueError(_taken(path, flag))
            # Whoever held it may have removed the file: another one is there now.
            if _is(file, path):
                return file
        except NotImplementedError as error:
            os.close(file)
            path.unlink(missing_ok=True)
            say(
                f"No lock can be held on {path.parent} ({error}): start no second run "
                "on it."
            )
            return None
        except ValueError:
            os.close(file)
            raise
        os.close(file)


def _open(path: pathlib.Path) -> int:
    while True:
        # Whoever had made the directory may remove it in between.
        with contextlib.suppress(FileNotFoundError):
            _make(path.parent)
            # Never inherited by programs that are started.
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _make(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        # It may be gone by now, which is no error; a file in its place is one.
        if folder.is_file():
            raise


def _is(file: int, path: pathlib.Path) -> bool:
    """Whether an open file is the one that is at a path."""
    try:
        return os.fstat(file).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _lock(file: int) -> bool:
    """Whether the lock was free.

    Raises:
        NotImplementedError: If there are no locks here.
    """
    if fcntl is None:
        raise NotImplementedError("this system has none")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise NotImplementedError(error.strerror) from error
    return True


def _myself() -> dict[str, Any]:
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "process": os.getpid(), "since": now}


def _taken(path: pathlib.Path, flag: str) -> str:
    who = "Another process"
    with contextlib.suppress(ValueError, KeyError, OSError):
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"Process {holder['process']} on {holder['host']}"
        who += f", since {holder['since']},"
    return (
        f"{who} works on {path.parent}. Wait for its end or stop it, or give another "
        f"{flag}."
    )
