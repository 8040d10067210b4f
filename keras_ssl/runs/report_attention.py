"""Where the class token of an encoder's last block looks, as pictures."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data import pipeline, sources

_IMAGES, _HEADS, _SIDE = 6, 6, 96


@dataclasses.dataclass(frozen=True)
class Attention:
    """Attention maps of a few images.

    Attributes:
        pictures: `(n, 2 + h, s, s, 3)` uint8: each image, the mean of all heads, and
            heads one by one.
        index: `(n,)` numbers of the images in the source.
        heads: How many heads there are; no more than six are shown.
    """

    pictures: np.ndarray
    index: np.ndarray
    heads: int


def attention(
    encoder: Any, source: sources.Source, index: np.ndarray, size: int
) -> Attention | None:
    """Draws how much the class token takes of each patch, in the last block.

    As Caron et al. 2021 (https://arxiv.org/abs/2104.14294) show it.

    Args:
        encoder: With `attention(images)`, see `BlockEncoder.attention`.
        source: The data.
        index: Numbers of images to choose from, evenly spread.
        size: Side of the images that the encoder takes, pixels.

    Returns:
        The maps, each from nothing (dark) to its own greatest number (bright); None of
        an encoder without attention.
    """
    look = getattr(encoder, "attention", None)
    if not callable(look) or source.kind != "image":
        return None
    chosen = index[pipeline.subset(len(index), _IMAGES)]
    read = [(i, source.try_read(int(i))) for i in chosen]
    known = [(i, image) for i, image in read if image is not None]
    images = tf.concat([pipeline.square(im[None], size) for _, im in known], axis=0)
    found = look(images).numpy()[:, :, 0, 1:]
    rows, columns = encoder.grid(size, size)
    heads = found.shape[1]
    maps = np.concatenate([found.mean(1, keepdims=True), found[:, :_HEADS]], axis=1)
    maps = maps.reshape(*maps.shape[:2], rows, columns)
    maps = maps / maps.max(axis=(2, 3), keepdims=True)
    shown = pipeline.square(images, min(size, _SIDE)).numpy()
    drawn = [shown[:, None]]
    drawn += [_over(shown, maps[:, i])[:, None] for i in range(maps.shape[1])]
    pictures = np.rint(np.concatenate(drawn, axis=1) * 255).astype(np.uint8)
    return Attention(pictures, np.array([i for i, _ in known]), heads)


def _over(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Grey images `(n, s, s, 3)` under maps `(n, h, w)` in [0, 1] of one colour."""
    from matplotlib import colormaps

    side = images.shape[1]
    large = tf.image.resize(maps[..., None], [side, side], "nearest").numpy()[..., 0]
    grey = images.mean(axis=-1, keepdims=True)
    heat = colormaps["inferno"](large)[..., :3]
    return 0.3 * grey + 0.7 * heat
