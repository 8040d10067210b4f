import os

import pytest

from keras_ssl.core import startup

NO_GPU = b"E0000 00:00:1.5   7 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"WARNING: All log messages before absl::InitializeLog() is called\n", False),
        (b"I0000 00:00:1.5   7 port.cc:153] oneDNN custom operations are on.\n", False),
        (b"W0000 00:00:1.5   7 gpu.cc:1] Cannot dlopen some GPU libraries.\n", True),
        (b"E0000 00:00:1.5   7 other.cc:1] Something is broken.\n", True),
        (b"Traceback (most recent call last):\n", True),
    ],
)
def test_only_chatter_is_left_out(capfd, line, kept):
    with startup._filtered():
        os.write(2, line)
        os.write(2, b"the last words, without an end")
    said = capfd.readouterr().err
    assert (line.decode() in said) == kept
    assert said.endswith("the last words, without an end")


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_gpu_that_fails_is_told_of(monkeypatch, has_gpu):
    found = ["/dev/nvidia0"] if has_gpu else []
    monkeypatch.setattr(startup.pathlib.Path, "glob", lambda *_: iter(found))
    assert startup._is_chatter(NO_GPU) != has_gpu


def test_what_was_said_before_an_error_is_shown(capfd):
    def fail():
        with startup._filtered():
            os.write(2, b"a hint\n")
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fail()
    assert capfd.readouterr().err == "a hint\n"


def test_only_a_worker_of_several_ends_at_once(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert startup.end(2) == 2
    assert not ended
    monkeypatch.setenv("TF_CONFIG", "{}")
    startup.end(1)
    assert ended == [1]
