"""Signs of collapse: numbers of a probe, and what each of them should be.

A method says in its own file which signs are its own, and what its objective compares;
`GENERAL` and `COMPARED` hold for all. Bounds come from the papers, as each sentence of
advice does, and from runs, which `tools/health.py` records.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.metrics import clusters, health, sphere

HEALTHY, WARNING, COLLAPSED = "healthy", "warning", "collapsed"
STATES = (HEALTHY, WARNING, COLLAPSED)
Bounds = tuple[float | None, float | None]
_NONE: Bounds = (None, None)
# Of narrower rows the rank is not judged.
_WIDE = 16


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a probe of a method gave.

    Attributes:
        method: The method.
        outputs: What its `forward` made of the probe's images.
        scalars: What its `objective` made of these.
        features: Of the product, for the first view of each image and the second one
            where there is one: each `(n, d)`.
        compared: What the objective compares, in the same way; none where the method
            does not say.
    """

    method: Any
    outputs: Mapping[str, tf.Tensor]
    scalars: Mapping[str, tf.Tensor]
    features: Sequence[tf.Tensor]
    compared: Sequence[tf.Tensor] = ()


@dataclasses.dataclass(frozen=True)
class Sign:
    """A number that tells how a method is, and what to do where it is amiss.

    Attributes:
        name: What it is logged as, with a group before it: `objective/information`.
        read: Finds the number, a scalar, in a reading; None where it is not there.
        warns: Below the first number or above the second one is a warning.
        collapsed: The same of a collapse.
        advice: What it means and what usually is the cause, one sentence.
        relative: Whether the bounds are shares of the number before training.
        since: Share of a run in [0, 1] from which on it is judged even if it has
            never been healthy: what learns slowly looks collapsed at first.
    """

    name: str
    read: Callable[[Reading], tf.Tensor | None]
    warns: Bounds = _NONE
    collapsed: Bounds = _NONE
    advice: str = ""
    relative: bool = False
    since: float = 0.25

    def state(self, value: float, start: float | None) -> int:
        """0 where a value is healthy, 1 for a warning, 2 for a collapse.

        Args:
            value: The number now.
            start: The number before training, if it is known.
        """
        if self.relative and start is None:
            return 0
        scale = float(start or 0.0) if self.relative else 1.0
        outside = [_outside(value, b, scale) for b in (self.warns, self.collapsed)]
        return 2 if outside[1] else int(outside[0])

    def sentence(self, value: float, start: float | None) -> str:
        """What was seen, what it means and what to do."""
        state = self.state(value, start)
        bounds = self.collapsed if state == 2 else self.warns
        scale = float(start or 0.0) if self.relative else 1.0
        low, high = (None if b is None else b * scale for b in bounds)
        below = low is not None and not value >= low
        bound = low if below else high
        return (
            f"{self.name} is {value:.3g}, {'below' if below else 'above'} "
            f"{math.nan if bound is None else bound:.3g}: {self.advice}"
        )


def _outside(value: float, bounds: Bounds, scale: float) -> bool:
    """Whether a number is out of bounds; what is no number is, where there are any."""
    low, high = bounds
    below = low is not None and not value >= low * scale
    return below or (high is not None and not value <= high * scale)


def logged(name: str, **given: Any) -> Sign:
    """A sign that the objective returns itself.

    Args:
        name: Its name in the objective.
        **given: For `Sign`.
    """
    return Sign(f"objective/{name}", lambda r: r.scalars.get(name), **given)


def information(
    probabilities: Callable[[Any, Mapping[str, tf.Tensor]], tf.Tensor],
    advice: str,
    warns: float = 0.1,
    collapsed: float = 0.03,
) -> Sign:
    """How much an output says of its image: nothing if it is uniform or always one.

    Args:
        probabilities: Finds distributions `(n, k)`, from the method and its outputs.
        advice: What a small one means.
        warns: Nats below which is a warning.
        collapsed: Nats below which is a collapse.
    """
    return Sign(
        "objective/information",
        lambda r: clusters.information(probabilities(r.method, r.outputs)),
        (warns, None),
        (collapsed, None),
        advice,
    )


def above_chance(
    candidates: int | None, advice: str, name: str = "accuracy", times: float = 2.0
) -> Sign:
    """An accuracy, which is guessing where nothing is told apart.

    Args:
        candidates: Of which one is right; as many as the probe has images if None.
        advice: What guessing means.
        name: Its name in the objective.
        times: How often chance it should be; fewer is a warning.
    """

    def read(reading: Reading) -> tf.Tensor | None:
        found = reading.scalars.get(name)
        rows = tf.cast(candidates or tf.shape(reading.features[0])[0], tf.float32)
        return None if found is None else found * rows

    # Between chance and learning there is no sharp line: never a collapse.
    return Sign(f"objective/{name}_over_chance", read, (times, None), _NONE, advice)


def _group(name: str) -> dict[str, Callable[[Reading], tf.Tensor | None]]:
    """Readings of either the features or of what is compared, by name."""

    def rows(reading: Reading) -> Sequence[tf.Tensor]:
        return reading.features if name == "features" else reading.compared

    def unit(x: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(x, -1)

    def rank_share(reading: Reading) -> tf.Tensor:
        x = rows(reading)[0]
        return health.rankme(x) / tf.cast(tf.reduce_min(tf.shape(x)), tf.float32)

    def aligned(reading: Reading) -> tf.Tensor | None:
        views = rows(reading)[:2]
        return sphere.alignment(*map(unit, views)) if len(views) == 2 else None

    def rank(reading: Reading) -> tf.Tensor | None:
        x = rows(reading)[0]
        # A map of two numbers, such as DrLIM's, has no more on purpose.
        return health.rankme(x) if (x.shape[-1] or 0) >= _WIDE else None

    return {
        "std": lambda r: health.feature_std(rows(r)[0]),
        "rank": rank,
        "rank_share": rank_share,
        "alignment": aligned,
        "uniformity": lambda r: sphere.uniformity(unit(rows(r)[0])),
    }


_POINT = (
    "images share nearly one point, a complete collapse; look for a missing stopped "
    "gradient or predictor, a target that does not lag behind, or a norm in the wrong "
    "mode."
)
_LINE = (
    "images lie in few directions, a dimensional collapse; look for a missing "
    "projector, too weak augmentation, or too much weight decay."
)
UNIFORM = (
    "prototypes tell nothing of images; look at epsilon and the temperature, at how "
    "long prototypes are frozen, and whether assignments are balanced over all images."
)
USAGE = logged(
    "prototype_usage",
    # Of what is used at first: how many can be depends on the batch.
    relative=True,
    warns=(0.4, None),
    collapsed=(0.15, None),
    advice=UNIFORM,
)
GUESSING = above_chance(
    None,
    "the right image is not found; look at the temperature, the rate, and whether what "
    "is compared is normalised.",
)
_FEATURES, _COMPARED = _group("features"), _group("compared")
# An untrained encoder's features lie close together too: only shares of that tell.
GENERAL = (
    Sign("features/std", _FEATURES["std"], (0.5, None), (0.15, None), _POINT, True),
    Sign("features/rank", _FEATURES["rank"], (0.4, None), (0.2, None), _LINE, True),
    *(Sign(f"features/{k}", _FEATURES[k]) for k in list(_FEATURES)[2:]),
)
COMPARED = (
    Sign("compared/std", _COMPARED["std"], (0.25, None), (0.1, None), _POINT),
    Sign("compared/rank", _COMPARED["rank"], (4.0, None), (2.5, None), _LINE),
    *(Sign(f"compared/{k}", _COMPARED[k]) for k in list(_COMPARED)[2:]),
)
