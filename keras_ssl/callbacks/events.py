"""TensorBoard's files of a run that goes on."""

import os
import pathlib
import socket
import time

import tensorflow as tf


def forget_after(directory: pathlib.Path, step: int) -> None:
    """Lets TensorBoard forget what a lost sitting wrote after a step.

    A new sitting writes it again. TensorBoard drops all later steps where it reads
    that a session started at one.

    Args:
        directory: Where the files of earlier sittings are, if there are any.
        step: Last step that stays.
    """
    if not any(directory.glob("events*")):
        return
    # TensorBoard reads files by the order of their names: after those of before, and
    # ahead of the one that this process writes next, whose name ends in a number.
    name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
    with tf.io.TFRecordWriter(str(directory / f"{name}.!{os.getpid()}.v2")) as file:
        log = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        start = {"step": step + 1, "session_log": log}
        # Twice: the first start of all is taken for the run's own.
        for fields in ({"file_version": "brain.Event:2"}, start, start):
            event = tf.compat.v1.Event(wall_time=time.time(), **fields)
            file.write(event.SerializeToString())
