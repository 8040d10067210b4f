"""Random batches of images with their masks or depth, crop, size and side drawn alike.

Long et al. 2015 and those after it: an image is made larger or smaller, cut out or
padded, and mirrored (as BYOL, appendix on semantic segmentation,
https://arxiv.org/abs/2006.07733).
"""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_ssl.data.dense_batches import nearest
from keras_ssl.data.sources import Source
from keras_ssl.data.truth import IGNORED

# Around an image that was made smaller: grey, of no class and unknown depth.
_GREY = 0.5


@dataclasses.dataclass(frozen=True)
class Placing:
    """What is drawn of an image.

    Args:
        scale: Least and greatest factor of its size, log-uniform; above 1 a part is cut
            out, below it grey is put around.
        flip: Share of the images that are mirrored.

    Raises:
        ValueError: If a number is out of range.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                "scale needs two positive factors, the smaller one first; got "
                f"{tuple(self.scale)}."
            )
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip must be in [0, 1], got {self.flip}.")

    def __call__(
        self, image: tf.Tensor, truth: tf.Tensor, seed: tf.Tensor, size: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Places an image and its truth in a square.

        Args:
            image: `(h, w, 3)` uint8 or floats in [0, 1].
            truth: `(H, W)`, int32 classes or float32 depth.
            seed: `(2,)` int32.
            size: Side of the square in pixels.

        Returns:
            `(size, size, 3)` float32 in [0, 1] and `(size, size)`, of whole images as
            `stretched` and `nearest` make them.
        """
        drawn = tf.random.stateless_uniform([4], seed)
        low, high = (tf.math.log(float(end)) for end in self.scale)
        factor = tf.exp(low + drawn[0] * (high - low))
        place, across = drawn[1:3], drawn[3] < self.flip
        share = tf.minimum(1.0, 1.0 / factor)
        inner = tf.cast(tf.round(tf.minimum(1.0, factor) * size), tf.int32)
        inner = tf.maximum(inner, 1)
        cut = [_cut(x, share, place) for x in (image, truth)]
        image = _resized(cut[0], inner)
        truth = nearest(cut[1], inner, inner)
        before = tf.cast(place * tf.cast(size - inner + 1, tf.float32), tf.int32)
        before = tf.minimum(before, size - inner)
        pad = tf.stack([before, size - inner - before], axis=1)
        image = tf.pad(image, tf.concat([pad, [[0, 0]]], 0), constant_values=_GREY)
        nothing = IGNORED if truth.dtype.is_integer else 0.0
        truth = tf.pad(truth, pad, constant_values=nothing)
        image, truth = (tf.where(across, x[:, ::-1], x) for x in (image, truth))
        return (
            tf.ensure_shape(image, [size, size, 3]),
            tf.ensure_shape(truth, [size, size]),
        )

    def protocol(self) -> dict[str, Any]:
        """What results depend on."""
        return {"scale": list(self.scale), "flip": self.flip}


def training_batches(
    source: Source,
    kind: str,
    placing: Placing,
    size: int,
    batch_size: int,
    steps: int,
    seed: int,
) -> tf.data.Dataset:
    """Shuffled batches, each epoch in another order; images are drawn one by one.

    Args:
        source: Where images come from. Those that cannot be read are passed over.
        kind: Of truth: `mask` or `depth`.
        placing: What is drawn of each.
        size: Side of the images in pixels.
        batch_size: Images in a batch.
        steps: How many batches are needed; there are no fewer where half of the
            images can be read.
        seed: Of the order and of what is drawn.

    Returns:
        A data set of `(b, size, size, 3)` float32 and `(b, size, size)`.

    Raises:
        ValueError: If the source has no such truth.
    """
    truth = source.need_truth("Training on places", kind)
    last = tf.constant(source.count - 1, tf.int64)

    def one(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, position = number // source.count, number % source.count
        key = tf.random.stateless_uniform(
            [2], [seed, epoch], minval=None, maxval=None, dtype=tf.int32
        )
        index = tf.random.experimental.index_shuffle(position, key, last)
        known = source.shape is not None
        image = source.read(index[None])[0] if known else source.read(index)
        drawn = tf.stack([key[0], tf.cast(index, tf.int32) ^ key[1]])
        return placing(image, truth.read(index), drawn, size)

    found = tf.data.Dataset.range(2 * steps * batch_size).map(
        one, tf.data.AUTOTUNE, deterministic=True
    )
    if source.shape is None:
        found = found.ignore_errors()
    return found.batch(batch_size, drop_remainder=True).take(steps).prefetch(2)


def _cut(x: tf.Tensor, share: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """A part of both sides of `(h, w, ...)`, at a place in [0, 1)."""
    sides = tf.shape(x)[:2]
    kept = tf.cast(tf.round(tf.cast(sides, tf.float32) * share), tf.int32)
    kept = tf.maximum(kept, 1)
    first = tf.cast(tf.round(place * tf.cast(sides - kept, tf.float32)), tf.int32)
    return x[first[0] : first[0] + kept[0], first[1] : first[1] + kept[1]]


def _resized(image: tf.Tensor, inner: tf.Tensor) -> tf.Tensor:
    """`(h, w, 3)` at another size; at its own, bit by bit as `stretched` has it."""
    image = tf.image.convert_image_dtype(image, tf.float32)
    same = tf.reduce_all(tf.shape(image)[:2] == inner)

    def resize() -> tf.Tensor:
        resized = tf.image.resize(image, [inner, inner], antialias=True)
        return tf.clip_by_value(resized, 0.0, 1.0)

    return tf.cond(same, lambda: image, resize)
