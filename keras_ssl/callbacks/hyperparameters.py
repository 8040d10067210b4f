"""A run's row in TensorBoard's HPARAMS tab, where runs are compared."""

from collections.abc import Mapping

import tensorflow as tf

Setting = bool | int | float | str


def begin(writer: tf.summary.SummaryWriter, settings: Mapping[str, Setting]) -> None:
    """Tells what a run's settings are; a later sitting may tell it again.

    A run is one row, by the name of its directory, and what it logs are the row's
    scores.

    Args:
        writer: Of the run.
        settings: By name.
    """
    from tensorboard.plugins.hparams import summary

    # Without a name of the group each run is one of its own, even beside another of
    # the same settings.
    told = summary.session_start_pb(dict(settings), group_name="")
    _write(writer, told.SerializeToString())


def end(writer: tf.summary.SummaryWriter) -> None:
    """Tells that a run has come to its end."""
    from tensorboard.plugins.hparams import api_pb2, summary

    told = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
    _write(writer, told.SerializeToString())


def _write(writer: tf.summary.SummaryWriter, told: bytes) -> None:
    # At step 0, which no later sitting lets TensorBoard forget.
    with writer.as_default(0):
        tf.summary.experimental.write_raw_pb(told, step=0)
