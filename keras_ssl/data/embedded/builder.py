"""TFDS builder of the embedded data set: nothing is downloaded, everything is drawn."""

import dataclasses
import io
from collections.abc import Iterator
from concurrent import futures
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_ssl.data.embedded import draws, scenes

TRAIN, TEST = 10_000, 2_000
_CHUNK_PIXELS = 100 * 32**2
_AHEAD = 4


@dataclasses.dataclass(eq=False)
class _Config(tfds.core.BuilderConfig):
    """Side of the images in pixels."""

    size: int = 32


def _png(array: np.ndarray) -> io.BytesIO:
    # Given an array, TFDS runs a session an image, ten times as slow.
    return io.BytesIO(tf.io.encode_png(array).numpy())


def _draw(split: int, indices: range, size: int) -> list[tuple[int, dict[str, Any]]]:
    """Keys and examples of some scenes."""
    drawn = scenes.render(split, indices, size)
    return [
        (
            index,
            {
                "image": _png(drawn["image"][row]),
                "label": int(drawn["label"][row]),
                "factors": {name: drawn[name][row] for name in draws.FACTORS},
                "bbox": tfds.features.BBox(*map(float, drawn["bbox"][row])),
                "mask": _png(drawn["mask"][row]),
                "depth": _png(drawn["depth"][row]),
            },
        )
        for row, index in enumerate(indices)
    ]


class EmbeddedScenes(tfds.core.GeneratorBasedBuilder):
    """10,000 train and 2,000 test scenes of ten kinds of objects, with exact truth.

    The configurations "32" and "64" show the same scenes in 32 and 64 pixels. The
    examples are the same on every machine and in every run (TFDS writes the features
    of an example in any order, so the files may differ where the examples do not).

    An example has `image` (uint8), `label`, `factors` (float32 scalars, see
    `draws.FACTORS`; none depends on the label), `bbox` (of the object's pixels),
    `mask` (0 background, 1 object, 2 occluder) and `depth` (0 near, 255 farthest:
    occluder before object before ground before sky).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar[list[_Config]] = [
        _Config(name=str(size), description=f"{size} x {size} pixels.", size=size)
        for size in (32, 64)
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.size
        flat = tfds.features.Image(shape=(size, size, 1), encoding_format="png")
        features = {
            "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(scenes.CLASSES)),
            "factors": {name: np.float32 for name in draws.FACTORS},
            "bbox": tfds.features.BBoxFeature(),
            "mask": flat,
            "depth": flat,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawn scenes of ten kinds of objects, with exact truth.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {
            "train": self._generate_examples(0, TRAIN),
            "test": self._generate_examples(1, TEST),
        }

    def _generate_examples(
        self, split: int, count: int
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        size = self.builder_config.size
        chunk = _CHUNK_PIXELS // size**2
        chunks = [
            range(start, min(start + chunk, count)) for start in range(0, count, chunk)
        ]
        # Drawing ahead in a thread takes a third off the time; `_AHEAD` bounds memory.
        with futures.ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(_draw, split, c, size) for c in chunks[:_AHEAD]]
            for following in [*chunks[_AHEAD:], *[None] * len(ahead)]:
                yield from ahead.pop(0).result()
                if following:
                    ahead.append(pool.submit(_draw, split, following, size))
