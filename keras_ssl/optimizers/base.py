"""Momentum and weight decay inside the gradient, and which weights take no decay."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class MomentumOptimizer(keras.optimizers.Optimizer):
    """Shared state of SGD and LARS.

    Weight decay is part of the gradient, as in the references; Keras's own
    `weight_decay` would be decoupled. By default weights of rank 0 and 1 (biases,
    scales and shifts of norms) do not decay: a rule on the variable, because
    patterns such as `batch_normalization` miss layers with names of their own.

    Args:
        learning_rate: Rate or schedule.
        momentum: Share of the buffer kept at each step, in [0, 1).
        weight_decay: Factor of the weight added to its gradient, at least 0.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path, in
            place of the rule on ranks.
        name: Name of the optimizer.

    Raises:
        ValueError: If `momentum` or `weight_decay` is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
        if weight_decay < 0.0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}.")
        super().__init__(learning_rate=learning_rate, name=name or "optimizer")
        self.momentum = momentum
        self.coupled_decay = weight_decay
        self.exclude_from_weight_decay = exclude_from_weight_decay
        self.momentums: list[Any] = []
        self.decays: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")
        # Recorded here: `update_step` gets raw variables without a path.
        self.decays = [self.takes(v, self.exclude_from_weight_decay) for v in variables]

    @staticmethod
    def takes(variable: keras.Variable, patterns: Sequence[str] | None) -> bool:
        """Whether a variable is outside the excluded ones."""
        if patterns is None:
            return len(variable.shape) > 1
        return not any(re.search(pattern, variable.path) for pattern in patterns)

    def decayed(self, gradient: tf.Tensor, variable: Any, index: int) -> tf.Tensor:
        """The gradient with the weight's decay in it."""
        if not self.coupled_decay or not self.decays[index]:
            return gradient
        decay = tf.cast(self.coupled_decay, gradient.dtype)
        return gradient + decay * tf.convert_to_tensor(variable)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "momentum": self.momentum,
            "weight_decay": self.coupled_decay,
            "exclude_from_weight_decay": self.exclude_from_weight_decay,
        }
