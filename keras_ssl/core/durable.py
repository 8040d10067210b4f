"""Files that are whole or absent, whatever ends the process or fills the disk."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO, Any

from keras_ssl.core import console


class WriteError(OSError):
    """A file of a run could not be written; says which, why and what to do."""


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], mode: str = "wb", needed: int | None = None
) -> Iterator[IO[Any]]:
    """Opens a file that takes the place of `path` once it is whole and on disk.

    Args:
        path: Where to; its folder is made.
        mode: `wb` for bytes, `w` for text in UTF-8.
        needed: About how many bytes are to be written.

    Yields:
        The file. If anything goes wrong it vanishes, and what was at `path` stays.

    Raises:
        WriteError: If the disk is full, or another limit is met.
    """
    path = pathlib.Path(path)
    beside = aside(path)
    encoding = None if "b" in mode else "utf-8"
    with explained(path, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open(mode, encoding=encoding) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            sync(path.parent)
        finally:
            # Gone already where all went well.
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(
    path: str | os.PathLike[str], needed: int | None = None
) -> Iterator[None]:
    """Turns an error of the system within into one sentence.

    Args:
        path: What is being written.
        needed: About how many bytes that takes.

    Raises:
        WriteError: In place of any other OSError.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise refused(path, error.strerror or str(error), needed) from error


def refused(
    path: str | os.PathLike[str], why: str, needed: int | None = None
) -> WriteError:
    """The error that says that a file could not be written.

    Args:
        path: Where it was to be.
        why: In the system's words.
        needed: About how many bytes it takes.
    """
    takes = "" if needed is None else f"It takes {console.size(needed)}. "
    return WriteError(
        f"Cannot write {path}: {why}. {takes}On its disk {_free(path)} are free. "
        "Nothing half-written stays, and what was saved before is whole. Make room, or "
        "raise the limit, and give the same command again: a run goes on from its last "
        "checkpoint."
    )


def told_by(error: Exception, folder: str | os.PathLike[str]) -> WriteError | None:
    """What to say of others' error if a full disk is behind it, such as TensorFlow's.

    Args:
        error: What was raised.
        folder: Where it was written to, if the error does not tell.
    """
    if isinstance(error, WriteError):
        return error
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        if os.strerror(number) in str(error):
            path = getattr(error, "filename", None) or folder
            return refused(path, os.strerror(number))
    return None


def _free(path: str | os.PathLike[str]) -> str:
    """Free bytes of the disk that a path is on, in words."""
    for folder in pathlib.Path(path).absolute().parents:
        with contextlib.suppress(OSError):
            return console.size(shutil.disk_usage(folder).free)
    return "unknown"


def sync(path: str | os.PathLike[str]) -> None:
    """Brings a file, or a folder's list of names, to disk."""
    # Some file systems have nothing of the kind for folders.
    with contextlib.suppress(PermissionError):
        number = os.open(path, os.O_RDONLY)
        try:
            if pathlib.Path(path).is_dir():
                with contextlib.suppress(OSError):
                    os.fsync(number)
            else:
                os.fsync(number)
        finally:
            os.close(number)


def sync_all(folder: str | os.PathLike[str]) -> None:
    """Brings a folder with all that is in it to disk."""
    for path in pathlib.Path(folder).rglob("*"):
        sync(path)
    sync(folder)


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder, if it is there and can be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def aside(path: pathlib.Path) -> pathlib.Path:
    """Where this process writes what shall be at `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def sweep(
    folder: str | os.PathLike[str], names: str, alone: bool = False
) -> list[pathlib.Path]:
    """Removes what processes that are no more left half-written.

    Call it before this process writes there itself.

    Args:
        folder: Where they wrote.
        names: A pattern, such as `step_*.npz`, of what they were to write.
        alone: Whether nobody else writes there; else the files of processes that
            live on this machine stay.

    Returns:
        What was removed.
    """
    swept = []
    for path in sorted(pathlib.Path(folder).glob(f".{names}.*")):
        process = path.suffix[1:]
        if not process.isdecimal() or not (alone or _is_gone(int(process))):
            continue
        remove(path)
        swept.append(path)
    return swept


def _is_gone(process: int) -> bool:
    """Whether no other process has a number; ours may have been an earlier one's."""
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
