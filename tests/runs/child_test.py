import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_ssl.core.stopping import Stopped
from keras_ssl.runs import child

# Stands for a trainer: says that it runs, and when asked to stop ends as one does.
TRAINER = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).write_text("runs")
time.sleep(60)
"""


def test_a_child_is_asked_to_stop_too_and_waited_for(tmp_path, monkeypatch):
    told = tmp_path / "told"
    started = []

    def start(words):
        command = [sys.executable, "-c", TRAINER, str(told)]
        started.append(subprocess.Popen(command))
        return started[0]

    def ask():
        while not told.exists() or told.read_text() != "runs":
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(child, "start", start)
    threading.Thread(target=ask, daemon=True).start()
    with pytest.raises(Stopped) as stop:
        child.run({})
    assert stop.value.reason.status == started[0].returncode == 143
    assert told.read_text() == "saved"
