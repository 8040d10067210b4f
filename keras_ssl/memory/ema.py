"""Target networks: a slow copy of the online one (teacher, momentum encoder)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.memory.base import Memory, Untracked
from keras_ssl.schedules import Schedule


def ema_update(
    target_variables: Sequence[keras.Variable],
    online_variables: Sequence[keras.Variable],
    momentum: float | tf.Tensor,
) -> None:
    """Moves each target in place: `target <- m * target + (1 - m) * online`.

    Args:
        target_variables: What moves.
        online_variables: What it follows, in the same order.
        momentum: Share kept by the target, in [0, 1].

    Raises:
        ValueError: If the numbers of variables or their shapes differ.
    """
    mine = [tuple(variable.shape) for variable in target_variables]
    theirs = [tuple(variable.shape) for variable in online_variables]
    if mine != theirs:
        raise ValueError(
            "Target and online variables must have the same shapes in the same order; "
            f"got {mine} and {theirs}."
        )
    for target, online in zip(target_variables, online_variables, strict=True):
        value = tf.convert_to_tensor(target)
        share = tf.cast(1.0 - momentum, value.dtype)
        target.assign(value + share * (tf.convert_to_tensor(online) - value))


class Ema(Memory):
    """A slow copy of a stack of layers, applied in order.

    Only weights are averaged: the copy's batch norms keep statistics of their own.
    It stays in training mode where asked: Keras runs a batch norm whose layer has
    `trainable = False` on moving statistics, so only its variables are frozen.

    Args:
        online: Layers to follow, applied in order; each is copied by its config.
        momentum: Schedule of the share that the target keeps.
        **kwargs: For `keras.layers.Layer`.
    """

    def __init__(
        self,
        online: Sequence[keras.layers.Layer],
        momentum: Schedule,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.online = Untracked(tuple(online))
        self.momentum = momentum
        self.everything = Untracked([])
        self.copies = [type(part).from_config(part.get_config()) for part in online]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        del input_shape

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        for part in self.copies:
            x = part(x, training=training)
        return tf.stop_gradient(x)

    def on_built(self) -> None:
        if not self.everything.value:
            for copy, online in zip(self.copies, self.online.value, strict=True):
                self.everything.value += zip(
                    copy.variables, online.variables, strict=True
                )
        # Only weights are averaged later, but all of the copy starts as the online is.
        for mine, theirs in self.everything.value:
            mine.assign(theirs)
        averaged = [pair for pair in self.everything.value if pair[1].trainable]
        for mine, _ in averaged:
            mine.trainable = False
        self.averaged = Untracked(averaged)

    def after_step(self, now: Callable[[Schedule], tf.Tensor]) -> None:
        mine, theirs = zip(*self.averaged.value, strict=True)
        ema_update(mine, theirs, now(self.momentum))
