"""A run's row in TensorBoard's HPARAMS tab, where runs are compared."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

Setting = bool | int | float | str


def begin(
    writer: tf.summary.SummaryWriter,
    settings: Mapping[str, Setting],
    first: Sequence[str],
    scores: Sequence[str],
) -> None:
    """Tells what a run's settings are; a later sitting may tell it again.

    A run is one row, by the name of its directory.

    Args:
        writer: Of the run.
        settings: By name.
        first: Settings that are columns from the start; others are to be chosen.
        scores: Tags of scalars that may be columns, the most important ones first.
            TensorBoard asks one of the runs that it shows which columns there are, so
            that all runs should name as many as they can.
    """
    from tensorboard.plugins.hparams import api_pb2, summary

    infos = [
        # Else columns are there by their alphabet.
        api_pb2.HParamInfo(name=name, type=_type(value), differs=name in first)
        for name, value in settings.items()
    ]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in scores]
    # Without a name of the group each run is one of its own, even beside another of
    # the same settings.
    session = summary.session_start_pb(dict(settings), group_name="")
    for told in (summary.experiment_pb(infos, metrics), session):
        _write(writer, told.SerializeToString())


def end(writer: tf.summary.SummaryWriter) -> None:
    """Tells that a run has come to its end."""
    from tensorboard.plugins.hparams import api_pb2, summary

    told = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
    _write(writer, told.SerializeToString())


def _type(value: Setting) -> int:
    from tensorboard.plugins.hparams import api_pb2

    # A bool is an int too.
    if isinstance(value, bool):
        return api_pb2.DATA_TYPE_BOOL
    is_text = isinstance(value, str)
    return api_pb2.DATA_TYPE_STRING if is_text else api_pb2.DATA_TYPE_FLOAT64


def _write(writer: tf.summary.SummaryWriter, told: bytes) -> None:
    # At step 0, which no later sitting lets TensorBoard forget.
    with writer.as_default(0):
        tf.summary.experimental.write_raw_pb(told, step=0)
