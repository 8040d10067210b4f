import errno
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_ssl.core import durable, run_dir
from tests import limits


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, done = tmp_path / "a" / "file", []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda n: (done.append("sync"), sync(n)))
    monkeypatch.setattr(
        os, "replace", lambda *names: (done.append("rename"), replace(*names))
    )
    with durable.replacing(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    # The file, its name, and the folder that holds the name.
    assert done == ["sync", "rename", "sync"]
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("most", [0, 10, 999])
def test_what_does_not_fit_leaves_nothing_and_says_so(tmp_path, most):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    words = (
        rf"Cannot write {path}: File too large. It takes 0.0 MiB. On its disk .* are "
        r"free. Nothing half-written stays.* Make room, or raise the limit, and give "
        "the same command again"
    )
    with (
        limits.file_size(most),
        pytest.raises(durable.WriteError, match=words),
        durable.replacing(path, needed=1000) as file,
    ):
        file.write(bytes(1000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path):
    path = tmp_path / "rows.jsonl"
    run_dir.append_line(path, {"step": 1})
    with limits.file_size(20), pytest.raises(durable.WriteError, match=r"rows\.jsonl"):
        run_dir.append_line(path, {"step": 2, "loss": 1.0})
    assert path.read_text() == '{"step": 1}\n'
    run_dir.append_line(path, {"step": 2})
    assert run_dir.read_lines(path) == [{"step": 1}, {"step": 2}]


def test_a_full_disk_is_seen_in_the_words_of_others(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    writer.flush()
    with limits.file_size(100), writer.as_default(1):
        tf.summary.scalar("loss", 1.0)
        with pytest.raises(tf.errors.OpError) as caught:
            writer.flush()
    told = durable.told_by(caught.value, tmp_path)
    assert str(told).startswith(f"Cannot write {tmp_path}: File too large.")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "views.png")
    assert "Cannot write views.png: No space" in str(durable.told_by(full, tmp_path))
    assert durable.told_by(told, tmp_path) is told
    assert durable.told_by(FileNotFoundError(2, "none", "x"), tmp_path) is None


def test_other_errors_are_as_they_were(tmp_path):
    with pytest.raises(ZeroDivisionError), durable.replacing(tmp_path / "x"):
        raise ZeroDivisionError
    (tmp_path / "file").touch()
    with pytest.raises(durable.WriteError, match=os.strerror(errno.EEXIST)):
        durable.replacing(tmp_path / "file" / "below").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_what_dead_processes_left_is_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as alive:
        names = [f".run.json.{n}" for n in (dead.pid, os.getpid(), alive.pid)]
        for name in (*names, ".run.json.bak", ".other.1", "run.json"):
            (tmp_path / name).touch()
        folder = tmp_path / f".export.{dead.pid}"
        (folder / "variables").mkdir(parents=True)
        swept = [*durable.sweep(tmp_path, "run.json"), *durable.sweep(tmp_path, "exp*")]
        assert sorted(swept) == sorted([tmp_path / n for n in names[:2]] + [folder])
        kept = {path.name for path in tmp_path.iterdir()}
        assert kept == {names[2], ".run.json.bak", ".other.1", "run.json"}
        durable.sweep(tmp_path, "run.json", alone=True)
        assert not (tmp_path / names[2]).exists()
        alive.communicate(b"\n")
