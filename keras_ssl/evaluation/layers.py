"""A probe on every layer of an encoder, from one pass over the data.

The protocol of Zhang et al. 2016 (https://arxiv.org/abs/1603.08511) and those after it:
maps after ReLU, pooled to about 9,000 numbers, a linear classifier on each.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.core.registry import name_of, register
from keras_ssl.data import pipeline
from keras_ssl.data.sources import Source
from keras_ssl.evaluation.class_tokens import each_class_token
from keras_ssl.evaluation.data import Encode, EvaluationData, Features
from keras_ssl.evaluation.linear import LinearProbe
from keras_ssl.evaluation.maps import with_maps
from keras_ssl.evaluation.per_image import Outcome, PerImage, tried

# What stands for a block of a ViT instead of its patches.
_CLASS = "class"
_POOLINGS = ("average", "max", "resize", _CLASS)


@register("evaluation", "layers")
@dataclasses.dataclass(frozen=True)
class Layers(PerImage):
    """Top-1 of a probe on the maps of each stage, convolution or block.

    The number that counts is the last layer's: the best one's would be chosen on test.
    The features of all layers are held at a time, for 10,000 images and five layers of
    9,000 numbers 1.8 GB; take part of the data, or fewer numbers, if that is too much.

    Args:
        probe: What scores a layer: `linear` or `knn`, or any evaluation with `top1`
            that asks for nothing but features; a linear probe if None.
        numbers: Most numbers of a layer; its maps are pooled to the largest square
            with no more, and to one pixel if even that has more.
        sides: Sides that the layers' maps are pooled to, in order, in place of this.
        pooling: `average` or `max`, over parts that cover the map evenly; `resize`,
            bilinear; or `class`: of a ViT each block's class token after the last norm.

    Raises:
        ValueError: If a number is not positive, `pooling` is unknown, or the probe
            gives no `top1`.
    """

    score: ClassVar[str] = "top1"
    probe: Any = None
    numbers: int = 9000
    sides: Sequence[int] | None = None
    pooling: str = "average"

    def __post_init__(self) -> None:
        checks.one_of(_POOLINGS, pooling=self.pooling)
        checks.positive(numbers=self.numbers)
        if self.sides is not None and (not self.sides or min(self.sides) < 1):
            raise ValueError(f"sides needs positive numbers, got {self.sides}.")
        if self.pooling == _CLASS and self.sides is not None:
            raise ValueError("sides are of maps, and class tokens have none.")
        if self._probe().score != "top1":
            raise ValueError(
                "The probe of a layer must give top1, as linear and knn do; "
                f"{name_of(self.probe)} gives {self.probe.score}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has the score of each layer by its name, and the last one's as `top1`.

        Raises:
            ValueError: If the encoder has no maps, or another number of layers than
                `sides`.
        """
        found: dict[str, Outcome] = {}
        features = self.features(encode, data)
        for name in list(features):
            # What was scored is dropped, to make room for the probe.
            kept: Any = _Kept(features.pop(name))
            found[name] = tried(self._probe(), encode, kept)

        def scores(of: Callable[[Outcome], dict[str, float]]) -> dict[str, float]:
            each = {name: of(part)["top1"] for name, part in found.items()}
            return {"top1": list(each.values())[-1], **each}

        return Outcome(
            scores(lambda part: part.numbers),
            lambda rows: scores(lambda part: part.without(rows)),
        )

    def features(self, encode: Encode, data: EvaluationData) -> dict[str, Features]:
        """Pooled features of every layer, `(n, side * side * c)`, by its name."""
        read = self._reader(encode, data.train.kind)
        train, train_labels, _ = _gather(read, data, data.train, data.train_limit)
        test, test_labels, index = _gather(read, data, data.test, data.test_limit)
        _, classes = data.train.need_labels("An evaluation")
        return {
            name: Features(
                train[name],
                train_labels,
                test[name],
                test_labels,
                len(classes),
                test_index=index,
            )
            for name in train
        }

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        probe = self._probe()
        return {
            "probe": {"evaluation": name_of(probe), **probe.protocol()},
            "numbers": None if self.sides or self.pooling == _CLASS else self.numbers,
            "sides": None if self.sides is None else list(self.sides),
            "pooling": self.pooling,
            "layers": (
                "class token of every block, normed; the last one's score counts"
                if self.pooling == _CLASS
                else "maps of every layer; the last one's score counts"
            ),
        }

    def _probe(self) -> Any:
        return LinearProbe() if self.probe is None else self.probe

    def _reader(
        self, encode: Encode, kind: str
    ) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """A compiled function of a batch: pooled, flat maps of every layer."""
        if self.pooling == _CLASS:
            return each_class_token(encode)
        model = with_maps(encode, "A probe of every layer", kind)

        @tf.function(autograph=False, reduce_retracing=True)
        def read(images: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = model.maps(images, training=False)
            sides = self._sides({name: x.shape for name, x in maps.items()})
            flat = {}
            for (name, x), side in zip(maps.items(), sides, strict=True):
                small = pool(tf.cast(x, tf.float32), side, self.pooling)
                flat[name] = tf.reshape(small, [-1, side * side * x.shape[-1]])
            return flat

        # A traced function sorts its dict's keys, and block10 comes before block2.
        names: list[str] = []

        def ordered(images: tf.Tensor) -> dict[str, tf.Tensor]:
            if not names:
                names.extend(model.maps(images[:1], training=False))
            found = read(images)
            return {name: found[name] for name in names}

        return ordered

    def _sides(self, shapes: dict[str, Any]) -> list[int]:
        """The side that each layer's maps are pooled to."""
        if self.sides is None:
            return [
                max(1, min(*s[1:3], int((self.numbers / s[3]) ** 0.5)))
                for s in shapes.values()
            ]
        if len(self.sides) != len(shapes):
            raise ValueError(
                f"sides has {len(self.sides)} numbers, and the encoder {len(shapes)} "
                f"layers: {', '.join(shapes)}. Give one for each."
            )
        return list(self.sides)


@dataclasses.dataclass
class _Kept:
    """Stands for `EvaluationData` where features are at hand."""

    made: Features

    def features(self, encode: Encode) -> Features:
        """The features, whatever the encoder."""
        del encode
        return self.made

    def without(self, rows: np.ndarray) -> "_Kept":
        """The same without some test images."""
        return _Kept(self.made.without(rows))


def pool(maps: tf.Tensor, side: int, pooling: str = "average") -> tf.Tensor:
    """Maps at another size.

    Args:
        maps: `(n, h, w, c)` with known height, width and channels.
        side: Of the result, pixels.
        pooling: `average` or `max`, each over the parts from `floor(i h / side)` to
            `ceil((i + 1) h / side)` as torch's adaptive pooling has them; `resize`.

    Returns:
        `(n, side, side, c)`.
    """
    if pooling == "resize":
        return tf.image.resize(maps, [side, side])
    reduce = tf.reduce_max if pooling == "max" else tf.reduce_mean
    for axis in (1, 2):
        length = maps.shape[axis]
        parts = []
        for i in range(side):
            start, stop = i * length // side, -(-(i + 1) * length // side)
            part = maps[:, start:stop] if axis == 1 else maps[:, :, start:stop]
            parts.append(reduce(part, axis=axis))
        maps = tf.stack(parts, axis=axis)
    return maps


def _gather(
    read: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    data: EvaluationData,
    source: Source,
    limit: int | None,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Features of a split by layer, its labels and indices; numbers are held once."""
    labels, _ = source.need_labels("An evaluation")
    count = len(pipeline.subset(source.count, limit))
    found: dict[str, np.ndarray] = {}
    seen = []
    done = 0
    for index, images in pipeline.numbered_batches(
        source, data.size, data.batch_size, limit
    ):
        for name, part in read(images).items():
            if name not in found:
                found[name] = np.empty((count, part.shape[1]), np.float32)
            found[name][done : done + len(index)] = part
        seen.append(index)
        done += len(index)
    # Images that cannot be read are left out.
    made = {name: x[:done] for name, x in found.items()}
    index = np.concatenate(seen)
    return made, labels[index], index
