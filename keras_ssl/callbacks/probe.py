"""Reads a method's signs of collapse from a fixed batch, and changes nothing."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.data import pipeline
from keras_ssl.metrics.signs import Reading, Sign

if TYPE_CHECKING:
    from keras_ssl.data.sources import Source
    from keras_ssl.methods.base import Method

# What a probe is rendered by, beside the run's seed: other views than training's.
_STREAM = 0x5EED


class Probe:
    """Runs a method on a batch as a step would, within a scope that keeps no state.

    Whatever `forward` changes, such as moving statistics, is dropped. No gradient is
    taken and nobody else is met, so that the numbers are the same on any number of
    replicas.

    Args:
        method: Set up already.
        signs: What to read.
        make: Renders a batch of so many images, the same ones each time.
        images: Images in the batch.
    """

    def __init__(
        self,
        method: "Method",
        signs: Sequence[Sign],
        make: Callable[[int], dict[str, Any] | None],
        images: int,
    ) -> None:
        self.method, self.signs = method, signs
        self.batch = make(images)
        self.run = tf.function(self._read, autograph=False)

    def __call__(self) -> dict[str, float]:
        """The signs by name, as far as they can be read; none without a batch."""
        if self.batch is None:
            return {}
        with distribute.alone():
            return {name: float(x) for name, x in self.run(self.batch).items()}

    def _read(self, batch: dict[str, Any]) -> dict[str, tf.Tensor]:
        with keras.StatelessScope():
            views = batch["views"]
            alike = [v for v in views[:2] if v.shape[1:] == views[0].shape[1:]]
            features = [
                tf.cast(self.method.product(v, training=False), tf.float32)
                for v in alike
            ]
            outputs, scalars = self._step(batch)
            compared = compared_rows(outputs, self.method.compared)
            reading = Reading(self.method, outputs, scalars, features, compared)
            found = {sign.name: sign.read(reading) for sign in self.signs}
        return {name: x for name, x in found.items() if x is not None}

    def _step(self, batch: dict[str, Any]) -> tuple[dict, dict]:
        """What `forward` and `objective` make of the batch."""
        outputs = self.method._outputs(batch)
        return outputs, self.method._scalars(outputs)


def compared_rows(
    outputs: dict[str, tf.Tensor], names: Sequence[str]
) -> list[tf.Tensor]:
    """Rows of outputs by view, each `(n, d)`: of `(n, d)` and of `(n, views, d)`."""
    found: list[tf.Tensor] = []
    for name in names:
        x = outputs[name]
        found += [x] if x.shape.rank == 2 else tf.unstack(x, axis=1)
    return found


def fixed_batch(
    source: "Source", views: Any, seed: int, count: int
) -> dict[str, Any] | None:
    """A batch of images spread evenly over a set, always the same.

    Args:
        source: Where images come from.
        views: `(images, seeds) -> views`.
        seed: The run's seed.
        count: Number of images; those that cannot be read are left out.

    Returns:
        `views`, `seed` and `index`, as a method's `forward` takes them; None where no
        image could be read.
    """
    places = pipeline.subset(source.count, count)
    # Without XLA where the views offer it: it would compile for this one batch.
    render = getattr(views, "render", views)
    if source.shape is not None:
        found = _rendered(render, source.read(tf.constant(places)), places, seed)
        return found
    parts = []
    for i in places:
        image = source.try_read(int(i))
        if image is not None:
            parts.append(_rendered(render, image[None], [i], seed))
    if not parts:
        return None
    return tf.nest.map_structure(lambda *rows: tf.concat(rows, axis=0), *parts)


def _rendered(render: Any, images: tf.Tensor, places: Any, seed: int) -> dict[str, Any]:
    index = tf.constant(places, tf.int64)
    seeds = tf.stack(
        [tf.fill(index.shape, seed ^ _STREAM), tf.cast(index, tf.int32)], axis=1
    )
    return {"views": tuple(render(images, seeds)), "seed": seeds, "index": index}
