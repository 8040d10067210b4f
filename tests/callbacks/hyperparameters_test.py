"""Rows of the HPARAMS tab, read by TensorBoard itself."""

import tensorflow as tf
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import (
    api_pb2,
    backend_context,
    get_experiment,
    list_session_groups,
)

from keras_ssl.callbacks import events, hyperparameters

SETTINGS = {"method": "SimCLR", "batch_size": 16, "rate": 0.5, "new": True}
SCORES = ["knn/encoder", "objective/loss"]


def sitting(folder, steps, score=None, **changes):
    """What a run leaves that goes on after `steps[0] - 1` steps."""
    events.forget_after(folder, steps[0] - 1)
    writer = tf.summary.create_file_writer(str(folder))
    settings = {**SETTINGS, **changes}
    hyperparameters.begin(writer, settings, ("method",), SCORES)
    for step in steps:
        with writer.as_default(step):
            tf.summary.scalar("objective/loss", 1 / step)
    if score is not None:
        with writer.as_default(steps[-1]):
            tf.summary.scalar("knn/encoder", score)
        hyperparameters.end(writer)
    writer.close()


def told(folder):
    """The columns and rows of the tab."""
    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    context = backend_context.Context(
        base_plugin.TBContext(logdir=str(folder), data_provider=provider)
    )
    of = (RequestContext(), context, "")
    columns = get_experiment.Handler(*of, api_pb2.GetExperimentRequest()).run()
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=10,
        allowed_statuses=api_pb2.Status.values(),
        col_params=[
            api_pb2.ColParams(metric=info.name) for info in columns.metric_infos
        ],
    )
    found = list_session_groups.Handler(*of, request).run()
    return columns, list(found.session_groups)


def test_a_run_is_one_row_however_often_it_was_interrupted(tmp_path):
    sitting(tmp_path / "a", range(1, 6))
    sitting(tmp_path / "a", range(4, 9))
    sitting(tmp_path / "a", [9], 0.75)
    # It had ended.
    sitting(tmp_path / "a", [10], 0.75)
    # Another of the same settings, which goes on, and one of others.
    sitting(tmp_path / "b", range(1, 3))
    sitting(tmp_path / "c", range(1, 3), 0.25, method="MAE")
    columns, rows = told(tmp_path)
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert [len(row.sessions) for row in rows] == [1, 1, 1]
    assert [row.hparams["method"].string_value for row in rows] == [
        "SimCLR",
        "SimCLR",
        "MAE",
    ]
    assert rows[0].hparams["batch_size"].number_value == 16
    assert rows[0].hparams["new"].bool_value is True
    status = [row.sessions[0].status for row in rows]
    success, unknown = api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN
    assert status == [success, unknown, success]
    scores = [
        {value.name.tag: round(value.value, 3) for value in row.metric_values}
        for row in rows
    ]
    assert scores == [
        {"knn/encoder": 0.75, "objective/loss": 0.1},
        {"objective/loss": 0.5},
        {"knn/encoder": 0.25, "objective/loss": 0.5},
    ]
    assert [info.name.tag for info in columns.metric_infos] == SCORES
    # What comes first in the table.
    assert [i.name for i in columns.hparam_infos if i.differs] == ["method"]
    assert {i.name for i in columns.hparam_infos} == set(SETTINGS)
