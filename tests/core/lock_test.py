import json
import os
import subprocess
import sys
import threading

import pytest

from keras_ssl.core import lock

HOLD = """
import sys
from keras_ssl.core import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a directory until its input ends."""
    folder = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "held\n"
    yield folder, child
    child.kill()
    child.communicate()


def test_a_second_process_is_refused_and_leaves_nothing(holder):
    folder, child = holder
    before = (folder / lock.NAME).read_text()
    with pytest.raises(ValueError, match="works on") as caught, lock.held(folder):
        pass
    assert f"Process {child.pid} on " in str(caught.value)
    assert "since 20" in str(caught.value)
    assert str(caught.value).endswith("give another --run_dir.")
    with (
        pytest.raises(ValueError, match=r"another --out\."),
        lock.held(folder, "--out"),
    ):
        pass
    assert (folder / lock.NAME).read_text() == before


def test_a_dead_process_holds_nothing(holder):
    folder, child = holder
    child.kill()
    child.wait()
    assert (folder / lock.NAME).exists()
    with lock.held(folder):
        assert json.loads((folder / lock.NAME).read_text())["process"] == os.getpid()
    assert not (folder / lock.NAME).exists()


def test_what_is_made_for_nothing_goes(tmp_path):
    with lock.held(tmp_path / "a" / "run"):
        pass
    assert not (tmp_path / "a" / "run").exists()
    (tmp_path / "own").mkdir()
    with lock.held(tmp_path / "own"):
        pass
    assert (tmp_path / "own").exists()
    with lock.held(tmp_path / "b"):
        (tmp_path / "b" / "file").write_text("")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["file"]


def test_only_one_of_many_at_a_time(tmp_path):
    inside, most, taken, broken = [], [], [], []

    def work():
        for _ in range(50):
            try:
                with lock.held(tmp_path / "run"):
                    inside.append(1)
                    most.append(len(inside))
                    taken.append(1)
                    inside.pop()
            except ValueError:
                continue
            except OSError as error:
                broken.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert not broken
    assert len(taken) > 10


def test_programs_that_are_started_do_not_hold_it(tmp_path):
    with lock.held(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
        )
    try:
        with lock.held(tmp_path):
            pass
    finally:
        child.kill()
        child.communicate()


def test_without_locks_a_line_says_so(tmp_path, monkeypatch, capsys):
    def flock(file, what):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with lock.held(tmp_path / "run"):
        pass
    assert "No lock can be held" in capsys.readouterr().err
