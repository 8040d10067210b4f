"""What all binaries share: quiet start, and errors as one clear sentence."""

import pathlib
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import app, flags, logging

# From a clone that is not installed the package stands beside this folder.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

TRACEBACK = flags.DEFINE_bool("traceback", False, "Shows where an error comes from.")


def run(main: Callable[[], int | None], given: list[str] | None = None) -> None:
    """Parses flags, calls `main`, and ends with its status.

    Arguments that are no flags come into `given`, without which there may be none.

    2 is a user's error, 1 a lost worker of several, 74 (EX_IOERR) a full disk.
    """

    def checked(argv: Sequence[str]) -> int | None:
        from keras_ssl.core import startup

        if given is not None:
            given.extend(argv[1:])
        elif len(argv) > 1:
            raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
        startup.tensorflow()
        logging.set_verbosity(logging.ERROR)
        try:
            return main()
        except (Exception, KeyboardInterrupt) as error:
            status, text = _account(error)
            if startup.alone() and (TRACEBACK.value or not text):
                raise
            shown = "" if TRACEBACK.value else text
            sys.stderr.write(shown or traceback.format_exc())
            return startup.end(status)

    app.run(checked)


def _account(error: BaseException) -> tuple[int, str]:
    """The status that an error ends with, and what to say; nothing of our own."""
    from keras_ssl.core import config, durable

    if isinstance(error, ValueError | TypeError | KeyError | FloatingPointError):
        return 2, f"error: {config.explain(error)}\n"
    if isinstance(error, durable.WriteError):
        return 74, f"error: {config.explain(error)}\n"
    if isinstance(error, ConnectionError):
        return 1, f"error: {error}\n"
    if isinstance(error, KeyboardInterrupt):
        # Of a run: 143 after SIGTERM, 75 at its time limit.
        status = getattr(getattr(error, "reason", None), "status", 130)
        return status, "\nstopped; the same command resumes the run.\n"
    return 1, ""
