"""One run of a proof, in a process of its own: `python -m keras_ssl.runs.prove_one`."""

import json
import os
import sys

from keras_ssl.core import startup


def main(words: str, cores: str = "[]") -> int:
    """Trains.

    Args:
        words: The arguments of `launch.train` as JSON.
        cores: Numbers of the cores to stay on, as JSON; all if empty.

    Returns:
        The exit status: 2 for an error that a user can mend, 130 for an interrupt.
    """
    if chosen := json.loads(cores):
        # Before TensorFlow, which makes as many threads as it may use cores.
        os.sched_setaffinity(0, chosen)
    startup.tensorflow()
    from keras_ssl.core import config, console
    from keras_ssl.core.stopping import Stopped
    from keras_ssl.runs import launch

    try:
        return launch.train(**json.loads(words))
    except (ValueError, TypeError, KeyError, FloatingPointError) as error:
        console.say(f"error: {config.explain(error)}")
        return 2
    except KeyboardInterrupt as stop:
        console.say("error: stopped.")
        return stop.reason.status if isinstance(stop, Stopped) else 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
