"""SGD with momentum and weight decay in the gradient, as the papers mean it."""

from typing import Any

import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.optimizers.base import MomentumOptimizer


@register("optimizer")
class SGD(MomentumOptimizer):
    """SGD with momentum; the learning rate stays outside the buffer (PyTorch).

    Args:
        learning_rate: Rate or schedule.
        momentum: Share of the buffer kept at each step, in [0, 1).
        weight_decay: Factor of the weight added to its gradient, at least 0.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path;
            by default weights of rank 0 and 1.
        nesterov: Whether to look one step ahead.
        name: Name of the optimizer.

    Raises:
        ValueError: If `momentum` or `weight_decay` is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Any = None,
        nesterov: bool = False,
        name: str = "sgd",
    ) -> None:
        super().__init__(
            learning_rate, momentum, weight_decay, exclude_from_weight_decay, name
        )
        self.nesterov = nesterov

    def update_step(
        self, gradient: tf.Tensor, variable: Any, learning_rate: Any
    ) -> None:
        index = self._get_variable_index(variable)
        gradient = self.decayed(gradient, variable, index)
        rate = tf.cast(learning_rate, gradient.dtype)
        keep = tf.cast(self.momentum, gradient.dtype)
        buffer = keep * tf.convert_to_tensor(self.momentums[index]) + gradient
        self.assign(self.momentums[index], buffer)
        update = gradient + keep * buffer if self.nesterov else buffer
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "nesterov": self.nesterov}
