"""What all our optimizers share: rates of parts, decay that may change, clipping."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_ssl.optimizers.rates import Rate, Share, share_out

Decay = float | Callable[[Any], Any]
_CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")


class Now(NamedTuple):
    """What changes from step to step, found once for all variables.

    Attributes:
        rate: The optimizer's learning rate.
        others: The rates that take its place for some variables, by pattern.
        decay: Weight decay, a float where it does not change.
    """

    rate: Any
    others: dict[str, tf.Tensor]
    decay: Any


class Optimizer(keras.optimizers.Optimizer):
    """A Keras optimizer with rates of parts, and the same on any number of replicas.

    Keras clips each replica's gradient before it sums them; here the sum is clipped,
    which is the gradient of the global batch. By default weights of rank 0 and 1
    (biases, scales and shifts of norms) do not decay: a rule on the variable, because
    patterns such as `batch_normalization` miss layers with names of their own.

    `update_step` of a subclass gets a `Now` in place of a rate, and decays weights
    itself: Keras's own decay knows one rate only.

    Args:
        learning_rate: Rate or schedule.
        weight_decay: At least 0, or a function of the step.
        exclude_from_weight_decay: Patterns for `re.search` on a variable's path, in
            place of the rule on ranks; `()` lets everything decay.
        **kwargs: For `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: Decay = 0.0,
        exclude_from_weight_decay: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(weight_decay) and weight_decay < 0.0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}.")
        for name in _CLIPS:
            value = kwargs.get(name)
            if value is not None and value <= 0.0:
                raise ValueError(f"{name} must be positive or None, got {value}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.weight_decay = weight_decay
        self.exclude_from_weight_decay = exclude_from_weight_decay
        self.decays: list[bool] = []
        self._others: dict[str, Any] = {}
        self._shares: dict[int, Share] = {}

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        # Recorded here: `update_step` gets raw variables without a path.
        self.decays = [self.takes(v, self.exclude_from_weight_decay) for v in variables]

    def set_rates(
        self, rates: Mapping[str, Rate], names: Mapping[str, keras.Variable]
    ) -> None:
        """Gives some variables rates of their own, in place of earlier ones.

        A function of the step takes the place of the learning rate; a number
        multiplies it. Several numbers may fit a variable, but one function at most. A
        variable whose rate is 0 stays as it is, without decay too, while its slots go
        on gathering gradients, as in DINOv2; DINO's code drops these. Such gradients
        count in `global_clipnorm`.

        Args:
            rates: By pattern for `re.search` on a variable's name.
            names: The variables that the optimizer was built on, by name, such as
                those of `core.tracing.named_variables`. One may have several names;
                others are passed over.

        Raises:
            TypeError: If a rate is neither a function nor a number.
            ValueError: If a pattern fits no variable, two functions fit one, a factor
                is negative, the optimizer is not built or a variable has no name.
        """
        if not self.built:
            raise ValueError("Rates of parts are set after build(), not before.")
        each: list[list[str]] = [[] for _ in self._trainable_variables]
        for name, variable in names.items():
            index = self._trainable_variables_indices.get(self._var_key(variable))
            if index is not None:
                each[index].append(name)
        if not all(each):
            raise ValueError(
                f"{each.count([])} of {len(each)} trained variables have no name."
            )
        shares = share_out(rates, each)
        self._shares = dict(enumerate(shares))
        used = {share.source for share in shares}
        self._others = {p: rate for p, rate in rates.items() if p in used}

    @staticmethod
    def takes(variable: keras.Variable, patterns: Sequence[str] | None) -> bool:
        """Whether a variable is outside the excluded ones."""
        if patterns is None:
            return len(variable.shape) > 1
        return not any(re.search(pattern, variable.path) for pattern in patterns)

    def rate(self, now: Now, index: int) -> Any:
        """The rate of the variable at `index`."""
        share = self._shares.get(index, Share())
        rate = now.rate if share.source is None else now.others[share.source]
        if share.factor == 1.0:
            return rate
        return tf.cast(rate, tf.float32) * share.factor

    def has_own_rate(self, index: int) -> bool:
        """Whether a function of its own is the rate of the variable at `index`."""
        return self._shares.get(index, Share()).source is not None

    def decay(self, now: Now, index: int) -> Any:
        """The weight decay of the variable at `index`, or None if it has none."""
        fixed = not callable(self.weight_decay)
        if not self.decays[index] or (fixed and not self.weight_decay):
            return None
        return now.decay

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        decay, step = self.weight_decay, self._iterations
        now = Now(
            learning_rate,
            {pattern: value(step) for pattern, value in self._others.items()},
            decay(step) if callable(decay) else decay,
        )
        super()._backend_update_step(grads, trainable_variables, now)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Nothing: `update_step` decays, where a variable's rate is known."""

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        if not self._clips:
            return grads
        whole = super()._all_reduce_sum_gradients([(g, None) for g in grads])
        return super()._clip_gradients([gradient for gradient, _ in whole])

    def _all_reduce_sum_gradients(self, grads_and_vars: list[Any]) -> list[Any]:
        """Sums over replicas, unless that was done to clip the sum."""
        if self._clips:
            return grads_and_vars
        return super()._all_reduce_sum_gradients(grads_and_vars)

    @property
    def _clips(self) -> bool:
        return any(getattr(self, name) is not None for name in _CLIPS)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "exclude_from_weight_decay": self.exclude_from_weight_decay,
        }


class MomentumOptimizer(Optimizer):
    """Shared state of SGD and LARS.

    Weight decay is part of the gradient, as in the references.

    Args:
        learning_rate: Rate or schedule.
        momentum: Share of the buffer kept at each step, in [0, 1).
        weight_decay: Factor of the weight added to its gradient, at least 0, or a
            function of the step.
        exclude_from_weight_decay: See `Optimizer`.
        name: Name of the optimizer.
        **clips: `clipnorm`, `global_clipnorm` or `clipvalue`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: Decay = 0.0,
        exclude_from_weight_decay: Sequence[str] | None = None,
        name: str | None = None,
        **clips: float | None,
    ) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
        super().__init__(
            learning_rate,
            weight_decay,
            exclude_from_weight_decay,
            name=name or "optimizer",
            **clips,
        )
        self.momentum = momentum
        self.momentums: list[Any] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")

    def decayed(
        self, gradient: tf.Tensor, variable: Any, now: Now, index: int
    ) -> tf.Tensor:
        """The gradient with the weight's decay in it."""
        decay = self.decay(now, index)
        if decay is None:
            return gradient
        return gradient + tf.cast(decay, gradient.dtype) * tf.convert_to_tensor(
            variable
        )

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        kept = ("name", "learning_rate", "weight_decay", *_CLIPS)
        return {
            **{name: base[name] for name in kept},
            "momentum": self.momentum,
            "exclude_from_weight_decay": self.exclude_from_weight_decay,
        }
