"""Signals to small processes of their own, which start fast: without TensorFlow."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_ssl.core.stopping import Stopped, Stopping

SCRIPT = """
import sys, time
from keras_ssl.core.stopping import Stopped, Stopping
signals = Stopping(grace={grace}, max_seconds={limit})
try:
    with signals:
        signals.busy = {busy}
        print("ready", flush=True)
        while signals.noted is None or {stubborn}:
            time.sleep(0.01)
        print("noted", signals.noted.name, flush=True)
except Stopped as stop:
    print("stopped", stop.reason.name, flush=True)
    sys.exit(stop.reason.status)
"""


def start(busy=True, stubborn=False, grace=60.0, limit=0.0):
    text = SCRIPT.format(busy=busy, stubborn=stubborn, grace=grace, limit=limit)
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        [sys.executable, "-c", text], stdout=pipe, stderr=pipe, text=True
    )
    assert child.stdout.readline() == "ready\n"
    return child


def end(child):
    out, error = child.communicate(timeout=120)
    return child.returncode, out, error


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_step_is_finished(name):
    child = start()
    child.send_signal(getattr(signal, name))
    status, out, error = end(child)
    assert (status, out) == (0, f"noted {name}\n")
    assert f"{name}: stopping at the end of this step" in error


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_where_there_is_no_step_it_stops_at_once(name, status):
    child = start(busy=False)
    child.send_signal(getattr(signal, name))
    assert end(child)[:2] == (status, f"stopped {name}\n")


def test_a_second_interrupt_ends_at_once():
    child = start(stubborn=True)
    child.send_signal(signal.SIGINT)
    assert child.stderr.readline() == "\n"
    assert "stopping at the end" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    status, out, error = end(child)
    assert (status, out) == (130, "")
    assert "Interrupted again: ended without a save" in error


def test_after_the_grace_it_ends_from_outside():
    child = start(stubborn=True, grace=0.3)
    child.send_signal(signal.SIGTERM)
    status, _, error = end(child)
    assert status == 143
    assert "Not at the end of a step within 0.3 s (--grace)" in error


def test_a_time_limit_is_a_signal_too():
    assert end(start(limit=0.5))[:2] == (0, "noted time limit\n")
    assert end(start(limit=0.5, busy=False))[:2] == (75, "stopped time limit\n")


def test_handlers_are_put_back_and_only_the_first_thread_has_them():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with Stopping():
        assert all(signal.getsignal(n) != old for n, old in before.items())
    assert all(signal.getsignal(n) == old for n, old in before.items())
    found = []

    def elsewhere():
        with Stopping(max_seconds=0.01) as signals:
            time.sleep(0.1)
            found.append(signals.noted)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [None]


def test_numbers_out_of_range():
    for bad in ({"grace": 0}, {"grace": float("nan")}, {"max_seconds": -1}):
        with pytest.raises(ValueError, match="grace must be positive"):
            Stopping(**bad)
    assert issubclass(Stopped, KeyboardInterrupt)
