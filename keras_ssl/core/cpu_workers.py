"""Several workers, also with several virtual CPUs each, to try them without GPUs."""

from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import collective_all_reduce_strategy as inner


def strategy() -> tf.distribute.Strategy:
    """The strategy of the workers that TF_CONFIG names, over all devices of each."""
    made = inner.CollectiveAllReduceExtended
    inner.CollectiveAllReduceExtended = _Extended
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    finally:
        inner.CollectiveAllReduceExtended = made


class _Extended(inner.CollectiveAllReduceExtended):
    """TensorFlow takes one CPU of each worker, however many it has been split into."""

    def _initialize_local_devices(
        self, cluster_resolver: Any, worker_device: str
    ) -> tuple[tuple[str, ...], str]:
        devices, kind = super()._initialize_local_devices(
            cluster_resolver, worker_device
        )
        if kind == "CPU":
            cpu = tf.config.list_physical_devices("CPU")[0]
            parts = tf.config.get_logical_device_configuration(cpu) or [None]
            devices = tuple(
                f"{worker_device}/device:CPU:{i}" for i in range(len(parts))
            )
        return devices, kind
