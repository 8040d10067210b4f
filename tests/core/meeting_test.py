"""Workers meet in threads of one process, and in one process that is left."""

import contextlib
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from keras_ssl.core.cluster import Cluster
from keras_ssl.core.meeting import Meeting


def clusters(count, given=None):
    with contextlib.ExitStack() as held:
        ports = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(count)
        ]
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    names = tuple(f"worker {i}" for i in range(count))
    indices = range(count) if given is None else given
    return [Cluster(addresses, names, i) for i in indices]


def run(workers, work, timeout=10.0):
    """What `work(meeting)` returns or raises at each worker, all at the same time."""
    found = [None] * len(workers)

    def one(place, worker):
        try:
            with Meeting(worker, timeout) as meeting:
                found[place] = work(meeting)
        except BaseException as error:
            found[place] = error

    threads = [
        threading.Thread(target=one, args=item, daemon=True)
        for item in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return found


def test_one_alone_agrees_with_itself():
    with Meeting() as meeting:
        assert meeting.count == 1
        assert meeting.everyone("number", 3) == [3]
        meeting.same({"a": 1})


def test_everyone_hears_everyone():
    def work(meeting):
        first = meeting.everyone("name", f"w{meeting.cluster.index}")
        # The last one is late; nobody leaves before it.
        time.sleep(0.1 * meeting.cluster.index)
        return first, meeting.everyone("square", meeting.cluster.index**2)

    assert run(clusters(3), work) == [(["w0", "w1", "w2"], [0, 1, 4])] * 3


def test_workers_that_differ_are_told_so_everywhere():
    def work(meeting):
        odd = meeting.cluster.index == 1
        meeting.same({"a": 1, "b": 3 if odd else 2, **({"c": 0} if odd else {})})

    for error in run(clusters(3), work):
        assert isinstance(error, ValueError)
        assert (
            "b is 2 at worker 0 and 3 at worker 1; c is not set at worker 0 and 0 at "
            "worker 1. Start all with the same command" in str(error)
        )


def test_a_worker_that_does_not_arrive():
    workers = clusters(3)
    begun = time.monotonic()
    for error in run(workers[:2], lambda meeting: None, timeout=1.0):
        assert isinstance(error, ConnectionError)
        assert str(error) == (
            f"Worker 2 ({workers[2].addresses[2]}) did not arrive within 1 s. Start "
            "all workers, or raise --worker_timeout."
        )
    assert 1.0 <= time.monotonic() - begun < 5


def test_a_chief_that_does_not_arrive():
    (error,) = run(clusters(2, [1]), lambda meeting: None, timeout=0.5)
    assert isinstance(error, ConnectionError)
    assert "the first of all, did not answer within 0.5 s (Connection ref" in str(error)


def test_an_error_of_one_ends_all():
    def work(meeting):
        if meeting.cluster.index == 1:
            raise ValueError("Too many images.")
        # What TensorFlow says of it is not for people.
        meeting._failed.wait(5)
        raise RuntimeError("UNAVAILABLE: Socket closed")

    chief, one, two = run(clusters(3), work)
    assert str(one) == "Too many images."
    for error in (chief, two):
        assert isinstance(error, ConnectionError)
        assert str(error).startswith("Worker 1 (127.0.0.1:")
        assert str(error).endswith(" stopped: Too many images.")


def test_a_worker_that_is_gone_is_missed_at_once():
    def work(meeting):
        if meeting.cluster.index == 1:
            meeting._left.set()
            meeting._lines[0].close()
            raise SystemExit
        return meeting.everyone("late", 0)

    begun = time.monotonic()
    for error in run(clusters(3), work)[::2]:
        assert isinstance(error, ConnectionError)
        assert "Worker 1" in str(error)
        assert "is gone, so the run ends on every worker" in str(error)
    assert time.monotonic() - begun < 5


def test_silence_is_taken_for_an_end(monkeypatch):
    monkeypatch.setattr(Meeting, "_beat", lambda self: None)
    errors = run(clusters(2), lambda m: time.sleep(0.6) or m.everyone("x", 0), 0.3)
    assert all("is gone" in str(error) for error in errors)


def test_beats_are_heard():
    found = run(clusters(2), lambda m: time.sleep(2.0) or m.everyone("x", 0), 1.0)
    assert found == [[0, 0]] * 2


def test_two_that_say_they_are_the_same():
    for error in run(clusters(3, [0, 1, 1]), lambda meeting: None, timeout=3.0):
        assert "Two processes say that they are worker 1" in str(error)


def test_a_worker_that_starts_again_before_all_are_there():
    workers = clusters(3)
    first = socket.create_connection

    def leave():
        time.sleep(0.1)
        host, port = workers[0].addresses[0].split(":")
        with first((host, int(port))) as gone:
            names = ",".join(f'"{a}"' for a in workers[0].addresses)
            gone.sendall(f'{{"worker": 1, "addresses": [{names}]}}\n'.encode())

    threading.Thread(target=leave).start()

    def work(meeting):
        return meeting.everyone("x", meeting.cluster.index)

    # The last one comes when the end of the one that left has long been seen.
    late = {1: 0.5, 2: 1.0}
    entered = Meeting.__enter__

    def enter(self):
        time.sleep(late.get(self.cluster.index, 0.0))
        return entered(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meeting, "__enter__", enter)
        assert run(workers, work) == [[0, 1, 2]] * 3


def test_another_cluster_is_refused():
    ours = clusters(2)
    other = Cluster((ours[0].addresses[0], "127.0.0.1:1"), ours[0].names, 1)
    for error in run([ours[0], other], lambda meeting: None, timeout=3.0):
        assert "TF_CONFIG names other workers at worker 1" in str(error)


def test_strangers_are_not_let_in():
    workers = clusters(2)

    def knock():
        time.sleep(0.1)
        host, port = workers[0].addresses[0].split(":")
        for word in (b"GET / HTTP/1.1\r\n\r\n", b'{"worker": 7}\n', b"[]\n"):
            with socket.create_connection((host, int(port))) as door:
                door.sendall(word)
        run([workers[1]], lambda meeting: None)

    threading.Thread(target=knock, daemon=True).start()
    assert run([workers[0]], lambda meeting: "here") == ["here"]


def test_an_address_in_use():
    workers = clusters(2)
    port = int(workers[0].addresses[0].split(":")[1])
    with socket.create_server(("", port)):
        (error,) = run(workers[:1], lambda meeting: None, timeout=0.5)
    assert "cannot listen at 127.0.0.1" in str(error)
    assert "Is another run using it?" in str(error)


def test_a_time_that_is_none():
    with pytest.raises(ValueError, match="worker_timeout must be positive, got 0"):
        Meeting(timeout=0)


STUCK = """
import sys, time
from keras_ssl.core import meeting
from tests.core.meeting_test import clusters
import threading
meeting._GRACE = 0.3
chief, other = clusters(2)
def leave():
    with meeting.Meeting(other) as m:
        raise ValueError("A reason.")
threading.Thread(target=leave, daemon=True).start()
with meeting.Meeting(chief):
    time.sleep(60)
"""


def test_who_is_stuck_is_ended(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STUCK)],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1
    assert "stopped: A reason." in done.stderr.splitlines()[-1]
