"""The only module that knows how many replicas there are.

Inside a step, `gather`, `mean`, `total`, `first_row` and `rows` let examples of all
replicas meet; with one replica they are the identity.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import cluster, cpu_workers, tpus
from keras_ssl.core.share import Share

STRATEGIES = ("auto", "one", "mirrored", "multiworker", "tpu")


def virtual_cpus(count: int) -> None:
    """Splits the CPU into `count` logical devices, to try replicas without a GPU.

    Raises:
        ValueError: If `count` is not positive, or there are GPUs.
        RuntimeError: If TensorFlow has already started its devices.
    """
    if count < 1:
        raise ValueError(f"cpu_devices must be at least 1, got {count}.")
    if gpus := tf.config.list_physical_devices("GPU"):
        raise ValueError(
            f"cpu_devices={count} is for trying replicas without a GPU, and there are "
            f"{len(gpus)}. Leave it out, or hide them by CUDA_VISIBLE_DEVICES=-1."
        )
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * count,
    )


def make_strategy(name: str = "auto", tpu: str = "") -> tf.distribute.Strategy:
    """Builds a distribution strategy.

    Args:
        name: `auto` (mirrored where there are several GPUs, else one), `one`,
            `mirrored` (all GPUs, or all logical CPUs), `multiworker` (reads
            TF_CONFIG) or `tpu`.
        tpu: Name or address of the TPU, for `tpu`.

    Returns:
        The strategy.

    Raises:
        ValueError: If the name is unknown, TF_CONFIG is amiss, or there is no such TPU.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"Unknown strategy {name!r}; choose one of {', '.join(STRATEGIES)}."
        )
    if tpu and name != "tpu":
        raise ValueError(f"tpu={tpu!r} needs the strategy tpu, got {name!r}.")
    if name == "multiworker":
        cluster.read()
        # Collectives must be configured before any device is started.
        return cpu_workers.strategy()
    if name == "tpu":
        return tpus.strategy(tpu)
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    cpus = [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(gpus or cpus)


def batches(
    make: Callable[..., tf.data.Dataset], strategy: tf.distribute.Strategy
) -> Any:
    """Shares global batches over replicas; each worker makes only its own rows.

    Args:
        make: Makes a data set from `share=`, of a batch for each replica in turn.
        strategy: The strategy.

    Returns:
        A data set as `fit` takes it, whose replicas see the rows of a global batch in
        their order.
    """
    count = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = count // context.num_input_pipelines
        return make(share=Share(count, context.input_pipeline_id * local, local))

    return strategy.distribute_datasets_from_function(of_worker)


_THREAD = threading.local()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """What this thread traces within has no other replicas to meet, whatever runs.

    For what one process looks at by itself, outside a step.
    """
    before, _THREAD.alone = getattr(_THREAD, "alone", False), True
    try:
        yield
    finally:
        _THREAD.alone = before


def replicas() -> int:
    """Number of replicas that share one global batch."""
    if getattr(_THREAD, "alone", False):
        return 1
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def local_batch_size(batch_size: int) -> int:
    """Rows of a global batch that each replica sees.

    Raises:
        ValueError: If the global batch cannot be shared out equally.
    """
    count = replicas()
    if batch_size < 1 or batch_size % count:
        lower = max(0, batch_size) // count * count
        near = [str(n) for n in (lower, lower + count) if n > 0]
        raise ValueError(
            f"batch_size {batch_size} cannot be shared equally by {count} replicas; "
            f"take a multiple of {count}, such as {' or '.join(near)}."
        )
    return batch_size // count


def is_chief() -> bool:
    """Whether this process writes the run's files (one of all workers does)."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not getattr(resolver, "task_type", None):
        return True
    # Without a job of that name the first worker is the chief.
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def devices() -> str:
    """Strategy, replica count and kind of device, for `run.json`."""
    strategy = tf.distribute.get_strategy()
    return f"{type(strategy).__name__} x{replicas()} {device_kind()}"


def device_kind() -> str:
    """`TPU`, `GPU` or `CPU`: what this process computes on."""
    return next((k for k in ("TPU", "GPU") if tf.config.list_logical_devices(k)), "CPU")


def meets_in_loops() -> bool:
    """Whether the body of a loop may hold what replicas do together.

    One replica meets nobody, and TPUs compile the loop as a whole. Elsewhere TensorFlow
    refuses: "merge_call called while defining a new graph".
    """
    strategy = tf.distribute.get_strategy()
    return replicas() == 1 or isinstance(strategy, tf.distribute.TPUStrategy)


def _context() -> tf.distribute.ReplicaContext | None:
    """The replica context if there is anybody else to meet in it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def gather(x: tf.Tensor) -> tf.Tensor:
    """Concatenates `(n, ...)` over replicas to `(replicas * n, ...)`, with gradient.

    The gradient that flows back to a replica's rows is the sum of what all replicas
    send, as the sum of their losses asks.
    """
    context = _context()
    if context is None:
        return x
    everyone = context.all_gather(x, axis=0)
    # The gradient of tf.gather is sparse, which all_gather's rejects; reshape's is not.
    # And what is gathered has forgotten its static shape.
    if not x.shape[1:].is_fully_defined():
        return tf.reshape(everyone, tf.shape(everyone))
    count = -1 if x.shape[0] is None else context.num_replicas_in_sync * x.shape[0]
    return tf.reshape(everyone, [count, *x.shape[1:]])


def mean(x: tf.Tensor) -> tf.Tensor:
    """Averages `x` over replicas, with gradient."""
    context = _context()
    if context is None:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, x)


def total(x: tf.Tensor) -> tf.Tensor:
    """Sums `x` over replicas, with gradient."""
    context = _context()
    if context is None:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def first_row(local: tf.Tensor) -> tf.Tensor:
    """Scalar int32: index of this replica's first row inside `gather(local)`."""
    context = _context()
    if context is None:
        return tf.constant(0)
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return replica * tf.shape(local)[0]


def rows(local: tf.Tensor) -> int | tf.Tensor:
    """Number of rows of `gather(local)`, without a collective.

    Returns:
        An int where the shape is known, else a scalar int32.
    """
    context = _context()
    count = 1 if context is None else int(context.num_replicas_in_sync)
    known = local.shape[0]
    return count * (tf.shape(local)[0] if known is None else int(known))


class Model(keras.Model):
    """A Keras model whose `fit` runs under every strategy.

    Keras steps through `tf.experimental.Optional`, which collectives across workers
    reject, so steps are driven by `next(iterator)`: the dataset must repeat.
    `train_function` returns the means of a call's scalars over replicas and, with
    `steps_per_execution`, over its steps; it holds no metric state of its own.
    `seconds_waiting` counts how long steps stood still for data.
    """

    seconds_waiting = 0.0
    train_function: Callable[..., Any] | None

    @property
    def metrics(self) -> list[keras.Metric]:
        """None: a step's scalars are logged as they are, nothing is accumulated."""
        return []

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: everything is built.

        Keras would average a batch over replicas, to see its shapes, and fails at it
        where there are several workers.
        """

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """Builds what `fit` calls once per execution."""
        if self.train_function is not None and not force:
            return self.train_function
        strategy = self.distribute_strategy

        def one(batch: Any) -> dict[str, tf.Tensor]:
            scalars = strategy.run(self.train_step, args=(batch,))
            return {
                name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
                for name, value in scalars.items()
            }

        function = (
            self._execute_one(tf.function(one, autograph=False))
            if self.steps_per_execution == 1
            else self._execute_many(tf.autograph.experimental.do_not_convert(one))
        )
        self.train_function = function
        return function

    def _execute_one(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def function(iterator: Any) -> Any:
            start = tf.timestamp()
            batch = next(iterator)
            self.seconds_waiting += float(tf.timestamp() - start)
            return step(batch)

        return function

    def _execute_many(self, step: Callable[..., Any]) -> Callable[..., Any]:
        count = self.steps_per_execution

        @tf.function
        def function(iterator: Any) -> Any:
            sums = step(next(iterator))
            for _ in tf.range(count - 1):
                scalars = step(next(iterator))
                sums = {name: sums[name] + scalars[name] for name in sums}
            return {name: value / count for name, value in sums.items()}

        return function
