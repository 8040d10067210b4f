"""What a run of several workers writes about itself."""

import errno
import os
import types

import pytest

from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core import durable, run_dir
from keras_ssl.core.console import say, speak_as
from keras_ssl.data.unreadable import Unreadable
from keras_ssl.runs import records


def test_images_that_any_worker_could_not_read_are_counted_once(tmp_path):
    record = object.__new__(records.Record)
    record.content, record.finished, record.directory = {"data": {}}, {}, tmp_path
    record.unreadable, record.elsewhere = Unreadable(), set()
    record.unreadable.add(5, "five")
    record.unreadable.add(2, "two")
    told = []

    def everyone(what, value):
        told.append((what, value))
        return [value, [2, 9, 11]]

    record.meeting = types.SimpleNamespace(everyone=everyone)
    record._write("running")
    assert run_dir.read_json(tmp_path / run_dir.RUN)["data"]["unreadable"] == 2
    saver = Checkpoint()
    saver.variables = {}
    record.end(saver, {"total": 1.0})
    assert told == [("unreadable", [2, 5])]
    assert run_dir.read_json(tmp_path / run_dir.RUN)["data"]["unreadable"] == 4


def test_a_run_that_cannot_write_is_told_so(tmp_path, monkeypatch):
    record = object.__new__(records.Record)
    record.directory, written = tmp_path, []
    full = durable.WriteError("Cannot write it.")

    def write(status):
        written.append(status)
        raise full

    monkeypatch.setattr(record, "_write", write)
    # What comes first is what is told, though run.json cannot be written either.
    with pytest.raises(ZeroDivisionError), record.watch():
        raise ZeroDivisionError
    words = r"views\.png: No space left"
    with pytest.raises(durable.WriteError, match=words), record.watch():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "views.png")
    assert written == ["failed", "failed"]


def test_a_worker_says_who_speaks(capsys):
    try:
        speak_as("worker 1")
        say("Left out an image.")
    finally:
        speak_as("")
    say("Done.")
    assert capsys.readouterr().err == "worker 1: Left out an image.\nDone.\n"
