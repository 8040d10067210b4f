"""Finds a TPU, or says in a sentence why there is none."""

import os
import socket

import tensorflow as tf

# Where Google's machines are told their names; elsewhere nobody answers, and
# TensorFlow asks for minutes.
_METADATA = ("metadata.google.internal", 80)
_SECONDS = 5.0


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of a TPU.

    Args:
        name: Name of the TPU at Google, its address `grpc://host:port`, or `local` for
            the one of this machine.

    Returns:
        The strategy.

    Raises:
        ValueError: If there is no such TPU.
    """
    if problem := _unreachable(name):
        raise ValueError(f"No TPU {name!r}: {problem}")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    # Whatever TensorFlow and Google's client raise, from a missing package to HTTP.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"No TPU {name!r}: {reason}") from error
    return tf.distribute.TPUStrategy(resolver)


def _unreachable(name: str) -> str:
    """Why asking for a TPU would be in vain; nothing where it may not be."""
    if name in ("", "local"):
        if tf.config.list_physical_devices("TPU") or os.environ.get("TPU_NAME"):
            return ""
        return (
            "TensorFlow sees none at this machine. On a TPU's machine it needs its own "
            "build, as by pip install 'keras_ssl[tpu]'; elsewhere give --tpu=NAME."
        )
    if "://" in name:
        host, _, port = name.rpartition("://")[2].rpartition(":")
        if not host or not port.isdecimal():
            return "an address is written grpc://host:port."
        place = (host.strip("[]"), int(port))
        hint = "Check the address, and that the TPU is started."
    else:
        place = _METADATA
        hint = (
            "Names are looked up at Google, from a machine there; elsewhere give an "
            "address, --tpu=grpc://host:port."
        )
    try:
        socket.create_connection(place, _SECONDS).close()
    except OSError as error:
        return (
            f"{place[0]}:{place[1]} does not answer ({error.strerror or error}). {hint}"
        )
    return ""
