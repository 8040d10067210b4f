"""Starts TensorFlow without its chatter, and ends it without its patience."""

import contextlib
import os
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator

# When this process began to work: binaries import this first of all.
BEGUN = time.monotonic()

# C++ says these before it reads TF_CPP_MIN_LOG_LEVEL. Warnings and errors pass.
_CHATTER = re.compile(rb"WARNING: All log messages before absl::InitializeLog|I0000 ")
# No error where there is no GPU.
_NO_GPU = re.compile(rb"E0000 .* failed call to cuInit: ")


def tensorflow() -> None:
    """Imports TensorFlow and finds devices, leaving out lines that help nobody.

    Python cannot reach these lines otherwise: C++ writes them to the file descriptor,
    whatever TF_CPP_MIN_LOG_LEVEL says. They are shown where it is set to 0.
    """
    loud = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0"
    with contextlib.nullcontext() if loud else _filtered():
        import tensorflow as tf

        tf.config.list_physical_devices()


def alone() -> bool:
    """Whether this process is no worker of several."""
    return not os.environ.get("TF_CONFIG")


def end(status: int) -> int:
    """Ends a worker of several at once; a process alone gets its status back.

    After an error TensorFlow waits at its end for workers that are gone.
    """
    if not alone():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


@contextlib.contextmanager
def _filtered() -> Iterator[None]:
    """Keeps standard error aside, and passes it on afterwards without chatter."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            aside.seek(0)
            for line in aside:
                if not _is_chatter(line):
                    os.write(2, line)


def _is_chatter(line: bytes) -> bool:
    has_gpu = any(pathlib.Path("/dev").glob("nvidia*"))
    return bool(_CHATTER.match(line) or (not has_gpu and _NO_GPU.match(line)))
