"""Any loss as a further term of a method's objective, from a recipe.

`tools/list.py --kind=loss` names the losses. KoLeo on DINO's features, as in DINOv2:

    train.terms = (@Term(),)
    Term.loss = @koleo
    Term.keys = ('features',)
    Term.weight = 0.1
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core.registry import did_you_mean, register

for _name in losses.__all__:
    register("loss", _name)(getattr(losses, _name))


@register("term")
class Term:
    """A loss of some outputs of a method, times a weight.

    Where the first output has a row for each view, `(n, views, ...)`, and `by_view` is
    set, the loss is taken view by view and summed, as facebookresearch/dinov2 does.

    Args:
        loss: Maps tensors to a scalar, or to several of which the first counts.
        keys: Names of the outputs that it gets, in order; see the method's `forward`.
        weight: What it is multiplied by.
        by_view: Whether axis 1 of the outputs are views.
        name: What it is logged as, unweighted; the loss's name by default.

    Raises:
        ValueError: If there are no keys.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        keys: Sequence[str],
        weight: float = 1.0,
        by_view: bool = False,
        name: str | None = None,
    ) -> None:
        if isinstance(keys, str) or not keys:
            raise ValueError(f"keys must name outputs, as ('features',); got {keys!r}.")
        self.loss, self.keys, self.weight = loss, tuple(keys), weight
        self.by_view = by_view
        self.name = str(name or getattr(loss, "__name__", type(loss).__name__))

    def __call__(self, outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The weighted loss as `loss`, and the plain one by its name.

        Raises:
            KeyError: If the method has no such output.
        """
        for key in self.keys:
            if key not in outputs:
                raise KeyError(
                    f"Term.keys: the method has no output {key!r}."
                    f"{did_you_mean(key, outputs)}"
                )
        given = [outputs[key] for key in self.keys]
        calls: list[Any] = [given]
        if self.by_view:
            calls = list(zip(*(tf.unstack(x, axis=1) for x in given), strict=True))
        value = tf.add_n([self._scalar(self.loss(*tensors)) for tensors in calls])
        return {"loss": self.weight * value, self.name: value}

    @staticmethod
    def _scalar(value: Any) -> tf.Tensor:
        return value[0] if isinstance(value, tuple) else value
