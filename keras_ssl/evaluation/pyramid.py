"""An encoder's maps as the three levels that a detector begins with."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.evaluation.maps import chosen

# Levels that come from the encoder, as in RetinaNet (P3 to P5).
LEVELS = 3
_FINER = 2 ** (LEVELS - 1)


class EncoderLevels(keras.layers.Layer):
    """Maps of an encoder at strides `s`, `2 s` and `4 s` of its images.

    A level is the last stage whose maps are about as fine or finer, resized where its
    stride is another one. So a ResNet gives its last three stages, and a ViT, whose
    maps are all of one stride, its last block's at three (ViTDet's simple pyramid, Li
    et al. 2022, https://arxiv.org/abs/2203.16527).

    Args:
        encoder: A built one, see `maps.with_maps`.
        size: Side of the images, pixels.
        cells: Most rows of the finest level. It has no more than four times those of
            the encoder's last maps, nor, where strides differ, than its first ones.
        frozen: Whether the encoder stays as it is. If not, its batch norms use the
            batch's statistics in training, but for encoders with `drop_path`: of these
            nothing is dropped.

    Attributes:
        stride: Pixels of a cell of the finest level, a power of 2.

    Input shape: `(n, size, size, 3)` in [0, 1].
    Output shape: a dict of `P3`, `P4` and `P5`, `(n, h, h, c)` float32 each.

    Raises:
        ValueError: If the encoder's maps have a single place.
    """

    def __init__(
        self, encoder: Any, size: int, cells: int, frozen: bool = False
    ) -> None:
        # Keras would round images to the policy's precision.
        super().__init__(name="levels", autocast=False, dtype="float32")
        self.encoder, self.size = encoder, size
        self.trains = not frozen and not getattr(encoder, "drop_path", 0.0)
        self.stages = chosen(encoder, size, None, "A detector")
        sides = [min(shape[:2]) for shape in self.stages.values()]
        # Beyond the encoder's own maps only where these are all of one stride.
        most = max(sides) if len(set(sides)) > 1 else _FINER * sides[-1]
        side = min(cells, most, _FINER * sides[-1])
        self.stride = 1
        while self.stride * side < size:
            self.stride *= 2
        self.sides = [-(-size // (self.stride * 2**i)) for i in range(LEVELS)]
        self.chosen = [self._stage(side) for side in self.sides]
        if frozen:
            encoder.trainable = False

    def call(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        maps = self.encoder.maps(images, training=bool(training) and self.trains)
        return {
            f"P{i + 3}": _resized(tf.cast(maps[name], tf.float32), side)
            for i, (name, side) in enumerate(zip(self.chosen, self.sides, strict=True))
        }

    def _stage(self, side: int) -> str:
        """Name of the stage that a level of so many rows is made of."""
        # AlexNet's 27 rows will do for 28.
        fine = [n for n, s in self.stages.items() if 4 * min(s[0], s[1]) >= 3 * side]
        return fine[-1] if fine else list(self.stages)[-1]


def _resized(maps: tf.Tensor, side: int) -> tf.Tensor:
    if tuple(maps.shape[1:3]) == (side, side):
        return maps
    return tf.image.resize(maps, [side, side], antialias=True)
