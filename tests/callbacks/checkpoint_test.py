"""Checkpoints: whole, checked, in the background; the one before if one is damaged."""

import threading

import keras
import numpy as np
import pytest

from keras_ssl.callbacks import checkpoint
from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core import durable, weights_file
from tests import limits


@pytest.fixture
def model():
    made = keras.Sequential([keras.layers.Dense(64, name="dense")])
    made.build((None, 64))
    made.compile(optimizer=keras.optimizers.SGD(momentum=0.9))
    made.optimizer.build(made.trainable_variables)
    return made


def at(model, step):
    """Brings a model to a step: weights tell which one it was."""
    model.optimizer.iterations.assign(step)
    kernel = np.random.default_rng(step).normal(size=(64, 64))
    model.layers[0].kernel.assign(kernel)
    for slot in model.optimizer.variables[2:]:
        slot.assign(kernel[: slot.shape[0]] if len(slot.shape) == 2 else kernel[0])
    return model


def saved(folder, model, steps, **options):
    saver = Checkpoint(**options)
    saver.open(folder, model)
    for step in steps:
        at(model, step)
        saver.save()
    saver.wait()
    return saver


def found(folder, model):
    """The step that a new sitting goes on from, all of it loaded."""
    saver, step = Checkpoint(), 0
    at(model, 99)
    step = saver.open(folder, model)
    digest = saver.digest()
    at(model, step)
    assert saver.digest() == digest
    return step


def damages():
    """What may be where the newest checkpoint should be, from its bytes."""
    draw = np.random.default_rng(6)

    def flipped(whole, at):
        return (
            whole[:at]
            + bytes([whole[at] ^ 1 << int(draw.integers(8))])
            + whole[at + 1 :]
        )

    def within(whole):
        # Not the time of writing, or what else nobody reads.
        return 1000 + int(draw.integers(len(whole) - 3000))

    yield "empty", lambda whole: b""
    yield "text", lambda whole: b"<html>not found</html>"
    yield "foreign", lambda whole: b"PK" + whole[2:200]
    for _ in range(20):
        yield "cut", lambda whole: whole[: int(draw.integers(len(whole)))]
        yield "flipped", lambda whole: flipped(whole, within(whole))
        yield (
            "zeros",
            lambda whole: (
                whole[: (at := within(whole))] + bytes(512) + whole[at + 512 :]
            ),
        )


def test_the_one_before_is_used_if_the_newest_is_damaged(tmp_path, model, capsys):
    saved(tmp_path, model, [1, 2])
    newest = tmp_path / "step_000000002.npz"
    whole = newest.read_bytes()
    for name, damage in damages():
        newest.write_bytes(damage(whole))
        assert found(tmp_path, model) == 1, name
        said = capsys.readouterr().err
        # Which file, what is wrong with it, and what is used instead.
        assert f"{newest} is damaged or not a weights file: " in said
        assert f"the run goes on from {tmp_path / 'step_000000001.npz'}" in said
        assert not newest.exists()
        (tmp_path / "damaged_step_000000002.npz").unlink()
    newest.write_bytes(whole)
    assert found(tmp_path, model) == 2


def test_a_damaged_one_is_not_counted_among_those_that_are_kept(tmp_path, model):
    saved(tmp_path, model, [4, 8])
    (tmp_path / "step_000000008.npz").write_bytes(b"")
    # Saved again at an earlier step than that of the damaged one.
    saved(tmp_path, model, [6], keep=1)
    assert [p.name for p in checkpoint.checkpoints(tmp_path)] == ["step_000000006.npz"]
    assert found(tmp_path, model) == 6


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(tmp_path, model):
    saved(tmp_path, model, [1, 2])
    for path in checkpoint.checkpoints(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"All 2 checkpoints in .* are damaged"):
        found(tmp_path, model)
    # Nothing is put away, for whoever can mend them.
    assert len(checkpoint.checkpoints(tmp_path)) == 2


def test_what_a_dead_process_left_half_written_is_swept(tmp_path, model):
    saved(tmp_path, model, [1])
    (tmp_path / ".step_000000002.npz.1").write_bytes(b"half")
    assert found(tmp_path, model) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step_000000001.npz"]


@pytest.fixture
def held(monkeypatch):
    """Writes wait for an event; tells how many began."""
    free, begun, save = threading.Event(), [], weights_file.save

    def slow(path, arrays, meta):
        begun.append(meta["step"])
        assert free.wait(60)
        save(path, arrays, meta)

    monkeypatch.setattr(weights_file, "save", slow)
    return free, begun


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, model, held):
    free, begun = held
    saver = Checkpoint()
    saver.open(tmp_path, model)
    at(model, 1)
    saver.save()
    # The values are those of the step, whatever the model does meanwhile.
    at(model, 2)
    saver.on_train_batch_end(0)
    assert checkpoint.checkpoints(tmp_path) == []
    second = threading.Thread(target=saver.save)
    second.start()
    second.join(0.2)
    # One at a time: the next one waits.
    assert second.is_alive()
    assert begun in ([], [1])
    free.set()
    second.join(60)
    saver.wait()
    assert begun == [1, 2]
    (tmp_path / "step_000000002.npz").unlink()
    monkey = weights_file.load(tmp_path / "step_000000001.npz")[0]
    np.testing.assert_array_equal(
        monkey["dense/kernel"],
        np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32),
    )


def test_digest_and_leaving_wait_for_the_disk(tmp_path, model, held):
    free, _ = held
    saver = Checkpoint()
    saver.open(tmp_path, model)
    for leave in (saver.digest, lambda: saver.__exit__(None, None, None)):
        free.clear()
        at(model, saver.step() + 1)
        saver.save()
        threading.Timer(0.1, free.set).start()
        leave()
        assert checkpoint.checkpoints(tmp_path)[-1].name.endswith(f"{saver.step()}.npz")


HOWS = ["step", "save", "wait", "digest", "leave"]


@pytest.mark.parametrize("how", HOWS)
def test_a_full_disk_is_told_at_the_next_occasion(tmp_path, model, how):
    saver = saved(tmp_path, model, [1])
    at(model, 2)
    with limits.file_size(5000):
        saver.save()
        saver._writer._thread.join()
    call = {
        "step": lambda: saver.on_train_batch_end(0),
        "save": lambda: (at(model, 3), saver.save()),
        "wait": saver.wait,
        "digest": saver.digest,
        "leave": lambda: saver.__exit__(None, None, None),
    }[how]
    words = "Cannot write .*step_000000002.npz: File too large. It takes 0.0 MiB"
    with pytest.raises(durable.WriteError, match=words):
        call()
    assert [p.name for p in tmp_path.iterdir()] == ["step_000000001.npz"]
    assert found(tmp_path, model) == 1


def test_the_first_error_is_the_one_to_raise(tmp_path, model, capsys):
    saver = saved(tmp_path, model, [1])
    at(model, 2)
    with limits.file_size(5000):
        saver.save()
        saver._writer._thread.join()
    with pytest.raises(ZeroDivisionError), saver:
        raise ZeroDivisionError
    assert "Nor could the last checkpoint be written: Cannot" in capsys.readouterr().err


def test_in_the_foreground_a_save_is_on_disk_when_it_returns(tmp_path, model):
    saver = Checkpoint(background=False)
    saver.open(tmp_path, at(model, 1))
    saver.save()
    assert (tmp_path / "step_000000001.npz").exists()
