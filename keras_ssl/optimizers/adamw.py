"""AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.optimizers.base import Decay, Now, Optimizer


@register("optimizer")
class AdamW(Optimizer, keras.optimizers.AdamW):
    """Adam with decoupled weight decay, by default on matrices and kernels only.

    Args:
        learning_rate: Rate or schedule.
        weight_decay: Share of a weight taken off at each step, times the rate; at
            least 0, or a function of the step.
        beta_1: Share of the mean of gradients kept at each step.
        beta_2: Share of the mean of squared gradients kept at each step.
        epsilon: Added to the root of the latter.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path;
            by default weights of rank 0 and 1; `()` lets everything decay.
        **kwargs: For `keras.optimizers.AdamW`, such as `clipnorm` (by variable) or
            `global_clipnorm`.

    Raises:
        ValueError: If `weight_decay` is negative or a clip is not positive.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: Decay = 0.05,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        exclude_from_weight_decay: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            exclude_from_weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            **kwargs,
        )

    def update_step(self, gradient: tf.Tensor, variable: Any, now: Now) -> None:
        index = self._get_variable_index(variable)
        rate, decay = self.rate(now, index), self.decay(now, index)
        if decay is not None:
            share = tf.cast(decay, variable.dtype) * tf.cast(rate, variable.dtype)
            self.assign_sub(variable, variable * share)
        super().update_step(gradient, variable, rate)
