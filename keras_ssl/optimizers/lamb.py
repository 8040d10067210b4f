"""LAMB: You et al. 2020, https://arxiv.org/abs/1904.00962."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.optimizers.base import Decay, Now, Optimizer


@register("optimizer")
class LAMB(Optimizer):
    """Adam whose steps are scaled by `|weight| / |step|`, tensor by tensor.

    As algorithm 2 and tensorflow-addons have it: moments are bias-corrected, the decay
    is part of the step and so inside the ratio, and neither the ratio nor the gradient
    is clipped. `keras.optimizers.Lamb` decays outside the ratio.

    Args:
        learning_rate: Rate or schedule.
        beta_1: Share of the mean of gradients kept at each step, in [0, 1).
        beta_2: Share of the mean of squared gradients kept at each step, in [0, 1).
        epsilon: Added to the root of the latter, positive.
        weight_decay: Factor of the weight added to its step, at least 0, or a
            function of the step.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path; by
            default weights of rank 0 and 1; `()` lets everything decay.
        exclude_from_layer_adaptation: The same for the ratio; by default what is
            excluded from decay.
        name: Name of the optimizer.
        **kwargs: For `keras.optimizers.Optimizer`, such as `global_clipnorm`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: Decay = 0.0,
        exclude_from_weight_decay: Sequence[str] | None = None,
        exclude_from_layer_adaptation: Sequence[str] | None = None,
        name: str = "lamb",
        **kwargs: Any,
    ) -> None:
        for label, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"{label} must be in [0, 1), got {beta}.")
        if epsilon <= 0.0:
            raise ValueError(f"epsilon must be positive, got {epsilon}.")
        super().__init__(
            learning_rate, weight_decay, exclude_from_weight_decay, name=name, **kwargs
        )
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.exclude_from_layer_adaptation = exclude_from_layer_adaptation
        self.means: list[Any] = []
        self.squares: list[Any] = []
        self.adapts: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.means = self.add_optimizer_variables(variables, "mean")
        self.squares = self.add_optimizer_variables(variables, "square")
        patterns = self.exclude_from_layer_adaptation
        if patterns is None:
            patterns = self.exclude_from_weight_decay
        self.adapts = [self.takes(v, patterns) for v in variables]

    def update_step(self, gradient: tf.Tensor, variable: Any, now: Now) -> None:
        index = self._get_variable_index(variable)
        weight = tf.convert_to_tensor(variable)
        gradient = tf.cast(gradient, weight.dtype)
        mean = self._moved(self.means[index], gradient, self.beta_1)
        square = self._moved(self.squares[index], tf.square(gradient), self.beta_2)
        update = mean / (tf.sqrt(square) + self.epsilon)
        decay = self.decay(now, index)
        if decay is not None:
            update += tf.cast(decay, weight.dtype) * weight
        rate = tf.cast(self.rate(now, index), weight.dtype)
        if self.adapts[index]:
            rate *= _ratio(tf.norm(weight), tf.norm(update))
        self.assign_sub(variable, rate * update)

    def _moved(self, slot: Any, now: tf.Tensor, beta: float) -> tf.Tensor:
        """Moves a running mean; returns it without the bias of its start at 0."""
        value = tf.convert_to_tensor(slot)
        value += (1.0 - beta) * (now - value)
        self.assign(slot, value)
        if not beta:
            return value
        # `1 - beta**t` would lose digits while it is small.
        step = tf.cast(self.iterations + 1, value.dtype)
        return value / -tf.math.expm1(step * math.log(beta))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "exclude_from_layer_adaptation": self.exclude_from_layer_adaptation,
        }


def _ratio(weight: tf.Tensor, update: tf.Tensor) -> tf.Tensor:
    """`weight / update`, or 1 where either is 0."""
    # The inner `where` keeps the unused branch finite.
    ratio = weight / tf.where(update > 0, update, tf.ones_like(update))
    return tf.where((weight > 0) & (update > 0), ratio, tf.ones_like(ratio))
