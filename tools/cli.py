"""What all binaries share: quiet start, and errors as one clear sentence."""

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

# From a clone that is not installed the package stands beside this folder.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

TRACEBACK = flags.DEFINE_bool("traceback", False, "Shows where an error comes from.")


def run(main: Callable[[], int | None]) -> None:
    """Parses flags, calls `main`, and ends with its status.

    That is 2 for a user's error, 1 where a worker of several was lost.
    """

    def checked(argv: Sequence[str]) -> int | None:
        from keras_ssl.core import startup

        if len(argv) > 1:
            raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
        startup.tensorflow()
        from keras_ssl.core import config

        logging.set_verbosity(logging.ERROR)
        try:
            return main()
        except (ValueError, TypeError, KeyError, FloatingPointError) as error:
            if TRACEBACK.value:
                raise
            sys.stderr.write(f"error: {config.explain(error)}\n")
            return 2
        except ConnectionError as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\nstopped; the same command resumes the run.\n")
            return 130

    app.run(checked)
