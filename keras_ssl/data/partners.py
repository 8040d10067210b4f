"""Which other image an image is paired with.

A partners part is given a source once, by `prepare`, and then picks a partner for each
example by the example's seed: the same on any number of replicas and after a resume.
"""

from typing import Protocol

import numpy as np
import tensorflow as tf

from keras_ssl.core import randomness
from keras_ssl.core.registry import register
from keras_ssl.data.sources import Source

# Views take the streams of an example's seed from 0 on, methods those from 2^16 on.
_STREAM = (1 << 16) - 1


class Prepared(Protocol):
    """Partners of one source's images."""

    def choose(self, index: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Picks partners.

        Args:
            index: `(n,)` int64, numbers of images.
            seeds: `(n, 2)` int32, one seed pair an example.

        Returns:
            `(n,)` int64; an image's own number where it has no partner.
        """
        ...

    def facts(self, index: tf.Tensor, partner: tf.Tensor) -> dict[str, tf.Tensor]:
        """What a batch carries, so that a loss knows who belongs together.

        Args:
            index: `(n,)` int64, numbers of the images.
            partner: `(n,)` int64, numbers of their partners.

        Returns:
            Tensors `(n, ...)` by their names in the batch.
        """
        ...


class Partners(Protocol):
    """A relation between images, not yet bound to a source."""

    def prepare(self, source: Source, max_corrupt: float = 0.01) -> Prepared: ...


def pick(seeds: tf.Tensor, counts: int | tf.Tensor) -> tf.Tensor:
    """Draws a whole number in `[0, counts)` for each example from its seed.

    Args:
        seeds: `(n, 2)` int32.
        counts: One number, or `(n,)` int64; 0 is taken for 1.

    Returns:
        `(n,)` int64.
    """
    counts = tf.cast(counts, tf.int64)
    u = tf.cast(randomness.uniforms(seeds, _STREAM, 1)[:, 0], tf.float64)
    # In float64 the product never rounds up to the count.
    return tf.cast(u * tf.cast(counts, tf.float64), tf.int64)


@register("partners")
class SameLabel:
    """Pairs an image with any other one of its label.

    Batches then carry `label`, `(n,)` int64. An image that is alone with its label is
    its own partner.
    """

    def prepare(self, source: Source, max_corrupt: float = 0.01) -> Prepared:
        """Reads all labels.

        Args:
            source: Where images come from.
            max_corrupt: Unused: no image is looked at.

        Returns:
            Partners of its images.

        Raises:
            ValueError: If the source has no labels, or some of them are unknown (-1).
        """
        del max_corrupt
        held, _ = source.need_labels("SameLabel")
        labels = np.asarray(held[np.arange(source.count)], np.int64)
        if labels.min() < 0:
            raise ValueError(
                f"SameLabel needs a label for each image; {np.sum(labels < 0)} of "
                f"{source.count} images of {source.name!r} (split {source.split!r}) "
                "have none. Take a labelled split."
            )
        return _ByLabel(labels)


class _ByLabel:
    def __init__(self, labels: np.ndarray) -> None:
        order = np.argsort(labels, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        counts = np.bincount(labels)
        starts = np.cumsum(counts) - counts
        with tf.device("CPU"):
            # Images by label, and where each label's begin and each image stands.
            self.labels, self.order = tf.constant(labels), tf.constant(order)
            self.starts, self.counts = tf.constant(starts), tf.constant(counts)
            self.place = tf.constant(place)

    def choose(self, index: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        label = tf.gather(self.labels, index)
        start, count = tf.gather(self.starts, label), tf.gather(self.counts, label)
        # So many places on from its own, around its label: never itself.
        step = 1 + pick(seeds, count - 1)
        place = tf.gather(self.place, index) - start
        return tf.gather(self.order, start + (place + step) % count)

    def facts(self, index: tf.Tensor, partner: tf.Tensor) -> dict[str, tf.Tensor]:
        del partner
        return {"label": tf.gather(self.labels, index)}
