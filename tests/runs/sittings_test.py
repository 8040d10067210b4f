"""What callbacks and unreadable images see of a run that takes several sittings."""

import types

import keras
import pytest

from keras_ssl.data.unreadable import Unreadable
from keras_ssl.runs import sittings
from keras_ssl.schedules import Clock


class Told(keras.callbacks.Callback):
    """Notes what it is told."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("begin", self.params["epochs"]))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch", epoch, self.params["epochs"]))

    def on_train_end(self, logs=None):
        self.calls.append(("end",))


class Method:
    """Runs epochs as Keras does, without steps."""

    distribute_strategy, stop_training = None, False

    def __init__(self):
        self.fits = []

    def fit(self, batches, initial_epoch, epochs, steps_per_epoch, callbacks, **kwargs):
        self.fits.append((batches, initial_epoch, epochs, steps_per_epoch))
        self.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_end(epoch)
        callbacks.on_train_end()


@pytest.fixture
def fit(monkeypatch):
    """Fits from a step on, over 3 epochs of 4 steps."""
    monkeypatch.setattr(
        sittings.distribute, "batches", lambda make, strategy: make.args[0]
    )

    def run(start, finished=False, callback=None):
        method, told = Method(), callback or Told()
        sittings.fit(method, print, 3, Clock(12, 4), start, [told], finished)
        return method.fits, told.calls

    return run


@pytest.mark.parametrize("start", range(13))
def test_a_sitting_is_one_training_to_callbacks(fit, start):
    fits, calls = fit(start)
    epoch, within = divmod(start, 4)
    assert sum(steps * (last - first) for _, first, last, steps in fits) == 12 - start
    # Data go on where they stopped, in either call.
    at = start
    for begun, first, last, steps in fits:
        assert begun == at
        at += steps * (last - first)
    # What an epoch's end was to do may have been lost with the process.
    again = [epoch - 1] if epoch and not within else []
    ends = [("epoch", n, 3) for n in [*again, *range(epoch, 3)]]
    assert calls == [("begin", 3), *ends, ("end",)]


def test_a_finished_run_is_left_alone(fit):
    assert fit(12, finished=True) == ([], [])


def test_a_callback_ends_the_sitting_in_its_first_epoch(fit):
    class Stop(Told):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch)
            self.model.stop_training = True

    fits, calls = fit(6, callback=Stop())
    assert [first for _, first, *_ in fits] == [1]
    assert calls[-1] == ("end",)


def test_unreadable_images_are_counted_over_all_sittings():
    first = Unreadable()
    for index in (3, 7):
        first.add(index, f"image {index}")
    first.substituted = 5
    worker = types.SimpleNamespace(count=2, cluster=types.SimpleNamespace(index=1))
    logger = types.SimpleNamespace(start_step=50, batch_size=16)
    told = [{"places": {"9": "image 9"}, "substituted": 1}, first.state()]

    def record():
        made = types.SimpleNamespace(meeting=worker, unreadable=Unreadable())
        made.elsewhere = set()
        return made

    same = record()
    sittings._take_up_unreadable(told, same, logger)
    assert same.elsewhere == {3, 7, 9}
    assert same.unreadable.places == {3: "image 3", 7: "image 7"}
    # 2 of 1200, though this sitting asked for 800 of them only.
    same.unreadable.check(800, 10_000, 0.0017)
    with pytest.raises(ValueError, match="2 of 1200 images cannot be read"):
        same.unreadable.check(800, 10_000, 0.0008)
    # Of other workers none knows what it asked for.
    other = record()
    sittings._take_up_unreadable(told[:1], other, logger)
    assert (other.elsewhere, other.unreadable.places) == ({9}, {})
