import tensorflow as tf
from tensorboard.backend.event_processing import plugin_event_accumulator

from keras_ssl.callbacks import events


def written(folder, steps, value):
    writer = tf.summary.create_file_writer(str(folder))
    for step in steps:
        with writer.as_default(step):
            tf.summary.scalar("loss", value)
    writer.close()


def test_a_later_sitting_takes_the_place_of_lost_steps(tmp_path):
    written(tmp_path, range(1, 8), 1.0)
    (first,) = tmp_path.iterdir()
    # Of another second: files are read by the order of their names.
    first.rename(tmp_path / "events.out.tfevents.1000000000.host.1.0.v2")
    events.forget_after(tmp_path, 4)
    written(tmp_path, range(5, 10), 2.0)
    found = plugin_event_accumulator.EventAccumulator(str(tmp_path), {"tensors": 0})
    found.Reload()
    rows = [
        (e.step, float(tf.make_ndarray(e.tensor_proto))) for e in found.Tensors("loss")
    ]
    assert rows == [(s, 1.0) for s in range(1, 5)] + [(s, 2.0) for s in range(5, 10)]


def test_a_new_run_has_nothing_to_forget(tmp_path):
    events.forget_after(tmp_path / "none", 0)
    assert list(tmp_path.iterdir()) == []
