"""AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101."""

from typing import Any

import keras

from keras_ssl.core.registry import register


@register("optimizer")
class AdamW(keras.optimizers.AdamW):
    """Adam with decoupled weight decay on matrices and kernels only.

    Args:
        learning_rate: Rate or schedule.
        weight_decay: Share of a weight taken off at each step, times the rate; at
            least 0. Weights of rank 0 and 1 do not decay.
        beta_1: Share of the mean of gradients kept at each step.
        beta_2: Share of the mean of squared gradients kept at each step.
        epsilon: Added to the root of the latter.
        **kwargs: For `keras.optimizers.AdamW`, such as `clipnorm` (by variable) or
            `global_clipnorm`.

    Raises:
        ValueError: If `weight_decay` is negative.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.05,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        if weight_decay < 0.0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}.")
        super().__init__(learning_rate, weight_decay, beta_1, beta_2, epsilon, **kwargs)

    def build(self, variables: list[keras.Variable]) -> None:
        if not self.built:
            plain = [v for v in variables if len(v.shape) <= 1]
            self.exclude_from_weight_decay(var_list=plain)
        super().build(variables)
