"""A loss that is no number: what is kept of it, and what is said to have caused it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks import checkpoint
from keras_ssl.core import run_dir, weights_file
from keras_ssl.data import pipeline
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.runs import bad_steps, launch, remade, replay, saved_batch

TINY = ["methods/simclr.gin", "tiny.gin"]
BARE = ["train.evaluation = None", "Checkpoint.every_steps = 2"]


def fails(folder, bindings=(), precision="float32"):
    """Trains until the loss is no number; the error's text and the report."""
    with pytest.raises(FloatingPointError) as caught:
        launch.train(str(folder), TINY, [*BARE, *bindings], precision=precision)
    (kept,) = (folder / run_dir.BAD).iterdir()
    assert run_dir.read_json(folder / run_dir.RUN)["status"] == "failed"
    return str(caught.value), run_dir.read_json(kept / bad_steps.REPORT), kept


def at_step(method, step):
    """1 in a step, from 1, else 0."""
    optimizer = getattr(method, "optimizer", None)
    made = tf.constant(0) if optimizer is None else optimizer.iterations
    return tf.cast(tf.equal(tf.cast(made, tf.int32), step - 1), tf.float32)


def spoil(monkeypatch, change):
    """Changes SimCLR's loss, by `change(method, outputs, found)`."""
    real = SimCLR.objective

    def objective(self, outputs):
        found = real(self, outputs)
        return {**found, **change(self, outputs, found)}

    monkeypatch.setattr(SimCLR, "objective", objective)


def test_pixel(tmp_path, monkeypatch):
    real = pipeline.training_batches

    def batches(*given, **named):
        start = named.get("start_step", given[4] if len(given) > 4 else 0)
        return real(*given, **named).enumerate(start).map(spoiled)

    def spoiled(number, batch):
        # Step 3, its second image's second view, one pixel.
        place = tf.constant([[1, 5, 7]])
        value = tf.where(number == 2, np.nan, 0.0)
        hole = tf.scatter_nd(place, tf.fill([1, 3], value), [16, 32, 32, 3])
        views = (batch["views"][0], batch["views"][1] + hole)
        return {**batch, "views": views}

    monkeypatch.setattr(pipeline, "training_batches", batches)
    text, report, kept = fails(tmp_path / "run")
    # A ReLU makes 0 of NaN: the loss stays finite, and the weights tell at a save.
    assert "A weight is no number, though the loss is 3.43" in text
    assert "First view 2 of the batch [16, 32, 32, 3] 0.01% NaN" in text
    first = report["first"]
    assert (report["step"], first["step"], first["rows"]) == (4, 3, [1])
    batch = saved_batch.read(saved_batch.path(kept, 3))
    assert first["images"] == [int(batch["index"][1])]
    assert first["bad"] == pytest.approx(3 / batch["views"][1].numpy().size, rel=1e-3)
    assert saved_batch.steps(kept) == [2, 3, 4]
    assert (kept / "views.png").stat().st_size > 1000
    # Nothing was saved of what had gone bad.
    newest = checkpoint.checkpoints(tmp_path / "run" / run_dir.CHECKPOINTS)[-1]
    assert weights_file.load(newest)[1]["step"] == 2
    # Without the data, from what was kept alone.
    monkeypatch.setattr("keras_ssl.data.sources.open_source", None)
    lines = replay.replay(str(tmp_path / "run"))
    assert lines[-1].startswith("First view 2 of the batch [16, 32, 32, 3] 0.01% NaN")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_objective(tmp_path, monkeypatch, precision):
    def change(method, outputs, found):
        gap = tf.math.log(1.0 - at_step(method, 5))
        return {"loss": found["loss"] + gap, "gap": gap}

    spoil(monkeypatch, change)
    text, report, kept = fails(tmp_path / "run", precision=precision)
    assert "First the objective's 'gap' infinite at step 5" in text
    assert f"--run_dir={tmp_path / 'run'} --step=5" in text
    assert report["scalars"]["loss"] == "-inf"
    # Kept is the state that both batches follow, which no checkpoint was of.
    _, meta = weights_file.load(kept / remade.STATE)
    assert (meta["step"], report["last_good_checkpoint"]) == (3, 2)
    lines = replay.replay(str(tmp_path / "run"), 5)
    assert lines[-1] == report["first"]["text"]


@pytest.mark.slow
def test_gradient_alone(tmp_path, monkeypatch):
    def change(method, outputs, found):
        # The root's slope at 0 is infinite, its value is well.
        size = tf.reduce_sum(tf.square(outputs["z1"] * (1.0 - at_step(method, 4))))
        return {"loss": found["loss"] + 0.01 * tf.sqrt(size)}

    spoil(monkeypatch, change)
    text, report, _ = fails(tmp_path / "run")
    # Seen before the loss shows it, at the save of the epoch's end; what went wrong is
    # named.
    assert "A weight is no number, though the loss is " in text
    assert "First the gradient by forward's 'z1' [16, 128] NaN at step 4" in text
    assert report["first"]["step"] == 4


@pytest.mark.slow
def test_overflow_with_a_loss_scale_is_no_alarm(tmp_path, monkeypatch):
    # Of the gradients of step 4, which is skipped; the loss of step 6 is the alarm.
    def change(method, outputs, found):
        size = tf.reduce_sum(tf.square(outputs["z1"] * (1.0 - at_step(method, 5))))
        gap = tf.math.log(1.0 - at_step(method, 6))
        return {"loss": found["loss"] + 0.01 * tf.sqrt(size) + gap, "gap": gap}

    spoil(monkeypatch, change)
    _, report, _ = fails(tmp_path / "run", precision="mixed_float16")
    assert report["first"]["what"] == "the objective's 'gap'"
    assert report["first"]["step"] == 6


@pytest.mark.slow
def test_several_steps_an_execution(tmp_path, monkeypatch):
    def change(method, outputs, found):
        gap = tf.math.log(1.0 - at_step(method, 5))
        return {"loss": found["loss"] + gap, "gap": gap}

    spoil(monkeypatch, change)
    bindings = ["train.steps_per_execution = 4"]
    _, report, kept = fails(tmp_path / "run", bindings)
    # The loss is the mean of steps 5 to 8.
    assert (report["step"], report["first"]["step"]) == (8, 5)
    assert saved_batch.steps(kept) == [4, 5, 7, 8]


@pytest.mark.slow
def test_a_healthy_step_and_a_bound(tmp_path, monkeypatch):
    def change(method, outputs, found):
        return {"loss": found["loss"] + tf.math.log(1.0 - at_step(method, 8))}

    spoil(monkeypatch, change)
    bindings = ["Health.replay = 2", "Checkpoint.every_steps = 0"]
    _, report, _ = fails(tmp_path / "run", bindings)
    # The last good checkpoint is of step 4: steps 5 and 6 lead to both batches.
    assert report["first"]["text"].startswith("First the objective's 'loss' infinite")
    healthy = replay.replay(str(tmp_path / "run"), 3)
    assert healthy[-1] == "Step 3 is all numbers."
    assert any("the output of small_resnet/stem/conv " in line for line in healthy)
    text, report, kept = fails(tmp_path / "other", ["Health.replay = 1", bindings[1]])
    assert "What went bad first is not known yet" in text
    assert report["first"] is None
    assert weights_file.load(kept / remade.STATE)[1]["step"] == 4


def test_what_cannot_be_replayed(tmp_path):
    with pytest.raises(ValueError, match=r"is no run: it has no run\.json"):
        replay.replay(str(tmp_path))
    run_dir.write_json(tmp_path / run_dir.RUN, {"total_steps": 8, "plugins": []})
    with pytest.raises(ValueError, match="has no bad step; say which by --step=N"):
        replay.replay(str(tmp_path))
    with pytest.raises(ValueError, match=r"step must be in \[1, 8\], got 9"):
        replay.replay(str(tmp_path), 9)
