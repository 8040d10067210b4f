"""SGD with momentum and weight decay in the gradient, as the papers mean it."""

from typing import Any

import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.optimizers.base import Decay, MomentumOptimizer, Now


@register("optimizer")
class SGD(MomentumOptimizer):
    """SGD with momentum; the learning rate stays outside the buffer (PyTorch).

    Args:
        learning_rate: Rate or schedule.
        momentum: Share of the buffer kept at each step, in [0, 1).
        weight_decay: Factor of the weight added to its gradient, at least 0, or a
            function of the step.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path;
            by default weights of rank 0 and 1; `()` lets everything decay.
        nesterov: Whether to look one step ahead.
        clipnorm: Greatest norm of a variable's gradient, positive; none by default.
        global_clipnorm: Greatest norm of all gradients together, positive.
        clipvalue: Greatest size of an entry of a gradient, positive.
        name: Name of the optimizer.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: Decay = 0.0,
        exclude_from_weight_decay: Any = None,
        nesterov: bool = False,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
        clipvalue: float | None = None,
        name: str = "sgd",
    ) -> None:
        super().__init__(
            learning_rate,
            momentum,
            weight_decay,
            exclude_from_weight_decay,
            name,
            clipnorm=clipnorm,
            global_clipnorm=global_clipnorm,
            clipvalue=clipvalue,
        )
        self.nesterov = nesterov

    def update_step(self, gradient: tf.Tensor, variable: Any, now: Now) -> None:
        index = self._get_variable_index(variable)
        gradient = self.decayed(gradient, variable, now, index)
        rate = tf.cast(self.rate(now, index), gradient.dtype)
        keep = tf.cast(self.momentum, gradient.dtype)
        buffer = keep * tf.convert_to_tensor(self.momentums[index]) + gradient
        self.assign(self.momentums[index], buffer)
        update = gradient + keep * buffer if self.nesterov else buffer
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "nesterov": self.nesterov}
