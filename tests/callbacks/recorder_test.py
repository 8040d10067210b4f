import types

import pytest

from keras_ssl.callbacks.recorder import Recorder
from keras_ssl.core import run_dir

TIMES = {"seconds", "images_per_second", "data_wait"}


def recorder(folder, start=0, every=3):
    made = Recorder(folder, 4, 10, 5, start, every)
    optimizer = types.SimpleNamespace(learning_rate=0.1)
    made.set_model(
        types.SimpleNamespace(
            optimizer=optimizer, seconds_waiting=0.0, steps_per_execution=1
        )
    )
    made.on_train_begin()
    return made


def trained(made, steps):
    for step in steps:
        made.on_train_batch_begin(step)
        made.on_train_batch_end(step, {"loss": 1.0 / step, "other": step})
    return made


def lines(folder):
    rows = run_dir.read_lines(folder / run_dir.METRICS)
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


@pytest.mark.parametrize("stop", range(1, 10))
def test_a_line_begun_before_a_stop_is_that_of_an_unbroken_run(tmp_path, stop):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    trained(recorder(whole), range(1, 11))
    # A kill some steps after a checkpoint: what was written since is dropped.
    first = trained(recorder(broken), range(1, stop + 1))
    state = first.state()
    trained(first, range(stop + 1, 11))
    run_dir.keep_lines_before(broken / run_dir.METRICS, stop)
    second = recorder(broken, stop)
    second.restore(state)
    trained(second, range(stop + 1, 11))
    assert lines(broken) == lines(whole)
    assert [row["step"] for row in lines(whole)] == [3, 6, 9, 10]
