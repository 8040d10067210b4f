"""LARS: You et al. 2017, https://arxiv.org/abs/1708.03888."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.optimizers.base import Decay, MomentumOptimizer, Now


@register("optimizer")
class LARS(MomentumOptimizer):
    """SGD whose steps are scaled by `|weight| / |gradient|`, tensor by tensor.

    Two conventions are in use and differ while the rate changes: SimCLR's code keeps
    the rate inside the momentum buffer (`lr_in_momentum=True`); BYOL, MoCo v3, Barlow
    Twins and VICReg keep it outside. Never compare rates between them.

    Args:
        learning_rate: Rate or schedule.
        momentum: Share of the buffer kept at each step, in [0, 1).
        weight_decay: Factor of the weight added to its gradient, at least 0, or a
            function of the step.
        trust_coefficient: Factor of the ratio of norms (eta), positive.
        nesterov: Whether to look one step ahead.
        classic_momentum: Whether the ratio is that of the gradient; otherwise of the
            momentum's update (google-research/simclr tf2/lars_optimizer.py).
        lr_in_momentum: Whether the rate is inside the buffer.
        clip_rate: Whether the ratio times eta is a rate of its own, of which the given
            one is the greatest allowed, instead of multiplying it (NVIDIA apex LARC
            with `clip=True`; solo-learn's `clip_lr`, with an eta of 0.02).
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path; by
            default weights of rank 0 and 1; `()` lets everything decay.
        exclude_from_layer_adaptation: The same for the ratio; by default what is
            excluded from decay.
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
        trust_coefficient: float = 0.001,
        nesterov: bool = False,
        classic_momentum: bool = True,
        lr_in_momentum: bool = True,
        clip_rate: bool = False,
        exclude_from_weight_decay: Sequence[str] | None = None,
        exclude_from_layer_adaptation: Sequence[str] | None = None,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
        clipvalue: float | None = None,
        name: str = "lars",
    ) -> None:
        if trust_coefficient <= 0.0:
            raise ValueError(
                f"trust_coefficient must be positive, got {trust_coefficient}."
            )
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
        self.trust_coefficient = trust_coefficient
        self.nesterov, self.classic_momentum = nesterov, classic_momentum
        self.lr_in_momentum, self.clip_rate = lr_in_momentum, clip_rate
        self.exclude_from_layer_adaptation = exclude_from_layer_adaptation
        self.adapts: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        patterns = self.exclude_from_layer_adaptation
        if patterns is None:
            patterns = self.exclude_from_weight_decay
        self.adapts = [self.takes(v, patterns) for v in variables]

    def update_step(self, gradient: tf.Tensor, variable: Any, now: Now) -> None:
        index = self._get_variable_index(variable)
        slot = self.momentums[index]
        g = self.decayed(gradient, variable, now, index)
        rate = tf.cast(self.rate(now, index), g.dtype)
        keep = tf.cast(self.momentum, g.dtype)
        buffer = keep * tf.convert_to_tensor(slot)
        if not self.classic_momentum:
            buffer += g
            update = keep * buffer + g if self.nesterov else buffer
            step = rate * self._trust(variable, update, index, rate) * update
        else:
            scaled = self._trust(variable, g, index, rate) * g
            if self.lr_in_momentum:
                scaled = rate * scaled
            buffer += scaled
            step = keep * buffer + scaled if self.nesterov else buffer
            if not self.lr_in_momentum:
                step = rate * step
            elif self.has_own_rate(index):
                # A buffer of earlier rates would move what is frozen now.
                step = tf.where(rate > 0.0, step, tf.zeros_like(step))
        self.assign(slot, buffer)
        self.assign_sub(variable, step)

    def _trust(
        self, variable: Any, update: tf.Tensor, index: int, rate: tf.Tensor
    ) -> tf.Tensor:
        """`eta * |weight| / |update|`, or 1 where excluded or a norm is 0."""
        if not self.adapts[index]:
            return tf.ones([], update.dtype)
        weight = tf.norm(tf.convert_to_tensor(variable))
        size = tf.norm(update)
        eta = tf.cast(self.trust_coefficient, update.dtype)
        # The inner `where` keeps the unused branch finite.
        ratio = eta * weight / tf.where(size > 0, size, tf.ones_like(size))
        if self.clip_rate:
            # The rate that it is multiplied by comes off again.
            ratio = tf.minimum(ratio, rate) / tf.where(rate > 0, rate, 1.0)
        return tf.where((weight > 0) & (size > 0), ratio, tf.ones_like(ratio))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "trust_coefficient": self.trust_coefficient,
            "nesterov": self.nesterov,
            "classic_momentum": self.classic_momentum,
            "lr_in_momentum": self.lr_in_momentum,
            "clip_rate": self.clip_rate,
            "exclude_from_layer_adaptation": self.exclude_from_layer_adaptation,
        }
