"""What a run computes in, and how float16 gradients reach the weights.

Weights, optimizers, statistics, normalisation and losses are float32 under every
policy; what is chosen here is the arithmetic of convolutions and matrix products.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_ssl.core import checks, distribute

NAMES = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

_CPU_INFO = pathlib.Path("/proc/cpuinfo")


class Choice(NamedTuple):
    """A dtype policy, and why it was chosen where `auto` did."""

    policy: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.policy} (auto: {self.reason})" if self.reason else self.policy


def choose(name: str = "auto") -> Choice:
    """Sets Keras's dtype policy; `auto` takes bfloat16 where the device is fast at it.

    Args:
        name: `auto`, `float32`, `mixed_bfloat16` or `mixed_float16`.

    Returns:
        The policy and the reason.

    Raises:
        ValueError: If the name is unknown.
    """
    checks.one_of(NAMES, precision=name)
    choice = _of_device() if name == "auto" else Choice(name)
    keras.config.set_dtype_policy(choice.policy)
    return choice


def _of_device() -> Choice:
    if tf.config.list_physical_devices("TPU"):
        return Choice("mixed_bfloat16", "TPUs compute in it")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return _of_gpus([tf.config.experimental.get_device_details(g) for g in gpus])
    flags = _CPU_INFO.read_text(encoding="utf-8") if _CPU_INFO.exists() else ""
    if "amx_bf16" in flags:
        return Choice("mixed_bfloat16", "the CPU has AMX, made for it")
    # Without AMX it is emulated, and slower than float32.
    return Choice("float32", "the CPU has no AMX")


def _of_gpus(details: Sequence[dict[str, Any]]) -> Choice:
    """bfloat16 if every GPU has it, as NVIDIA's have from Ampere (8.0) on."""
    for gpu in details:
        name = gpu.get("device_name", "the GPU")
        if gpu.get("compute_capability", (0, 0))[0] < 8:
            return Choice(
                "float32",
                f"{name} has no bfloat16; mixed_float16 may be faster",
            )
    return Choice(
        "mixed_bfloat16", f"{details[0].get('device_name', 'the GPU')} has it"
    )


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | None],
    variables: Sequence[keras.Variable],
) -> None:
    """Updates weights; where a float16 gradient overflows, nowhere and by nobody.

    Keras's loss scale asks the first replica alone whether gradients are finite, and
    does not count a step that it skips. Here one replica's overflow is everybody's,
    and every step counts: a run's step says which data come next.

    Args:
        optimizer: Plain, or within a `keras.optimizers.LossScaleOptimizer`.
        gradients: Of this replica, scaled by `optimizer.scale_loss`.
        variables: What they belong to.
    """
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return
    next_step = optimizer.iterations + 1
    dense = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
    finite = [tf.reduce_all(tf.math.is_finite(g)) for g in dense if g is not None]
    overflows = distribute.total(1.0 - tf.cast(tf.reduce_all(finite), tf.float32))
    spoil = tf.where(overflows > 0, tf.constant(float("nan")), tf.constant(0.0))
    shared = [None if g is None else g + tf.cast(spoil, g.dtype) for g in dense]
    optimizer.apply_gradients(zip(shared, variables, strict=True))
    optimizer.iterations.assign(next_step)
