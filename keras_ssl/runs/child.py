"""The trainer in a process of its own: one strategy each, and memory given back."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras_ssl
from keras_ssl.core.stopping import Stopped, Stopping


def start(
    words: Mapping[str, Any], cores: Sequence[int] = (), **options: Any
) -> subprocess.Popen:
    """Begins to train.

    Args:
        words: The arguments of `launch.train`, as JSON can hold them.
        cores: Those it may use; all by default.
        **options: For `subprocess.Popen`, such as `stdout`.

    Returns:
        The process; its status is that of `tools/train.py`.
    """
    # From a clone that is not installed the package is found by its folder.
    root = str(pathlib.Path(keras_ssl.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    module = "keras_ssl.runs.prove_one"
    command = [sys.executable, "-m", module, json.dumps(dict(words)), json.dumps(cores)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(command, env=env, **options)


def run(words: Mapping[str, Any]) -> int:
    """Trains to the end.

    Args:
        words: As for `start`.

    Returns:
        The status of the process.

    Raises:
        Stopped: If this process was asked to stop, after the child has: it has saved.
    """
    child = start(words)
    try:
        with Stopping():
            return child.wait()
    except Stopped as stop:
        # Ctrl-C reaches both; any other signal this process alone.
        if stop.reason.name != "SIGINT":
            child.terminate()
        child.wait()
        raise
