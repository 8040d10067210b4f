"""An encoder's maps by layer, for evaluations of places."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.evaluation.data import Encode, need_model

Maps = dict[str, tf.Tensor]


def with_maps(encode: Encode, what: str, kind: str = "image") -> Any:
    """The model behind a function of features, if it has maps.

    Args:
        encode: What an evaluation was given.
        what: Who wants them, for the error.
        kind: Of the data, `image` or `audio`.

    Returns:
        The encoder. Its `maps(images, training=False)` returns `(n, h, w, c)` by layer,
        in order: of a CNN its stages or convolutions, of a ViT its patch tokens after
        each block, put back into their grid.

    Raises:
        ValueError: If there is no model, or it has no maps.
    """
    model = need_model(encode, what)
    if kind != "image" or not hasattr(model, "maps"):
        raise ValueError(
            f"{what} needs an encoder with maps, as ResNet, ViT and AlexNet have "
            f"them; {model.name} has none, as encoders of recordings. Score its "
            "features with --evaluation=linear."
        )
    return model


def shapes(model: Any, size: int) -> dict[str, tuple[int, int, int]]:
    """Height, width and channels of the maps of each layer, in order.

    Args:
        model: See `with_maps`.
        size: Side of the images in pixels.
    """
    found = model.maps(tf.zeros([1, size, size, 3]), training=False)
    return {name: tuple(x.shape[1:]) for name, x in found.items()}


def chosen(
    model: Any, size: int, layers: Sequence[str] | None, what: str
) -> dict[str, tuple[int, int, int]]:
    """The shapes of some layers' maps, refused where none tells places apart.

    Args:
        model: See `with_maps`.
        size: Side of the images in pixels.
        layers: Names of layers; all if None.
        what: Who wants them, for the error.

    Returns:
        `(h, w, c)` of each by its name, in the encoder's order.

    Raises:
        ValueError: If there is no such layer, or all have a single place.
    """
    found = shapes(model, size)
    if unknown := [name for name in layers or () if name not in found]:
        raise ValueError(
            f"{model.name} has no layer {unknown[0]!r}; it has {', '.join(found)}."
        )
    some = {k: v for k, v in found.items() if layers is None or k in layers}
    if max(h * w for h, w, _ in some.values()) == 1:
        raise ValueError(
            f"{what} needs maps of several places, and at {size} px those of "
            f"{model.name} have one ({', '.join(some)}): a vector of the whole image. "
            "Take larger images by --image_size, an earlier layer, or another encoder."
        )
    return some


def maps(
    model: Any, layers: Sequence[str], training: bool = False
) -> Callable[[tf.Tensor], Maps]:
    """A function of images: the maps of some layers, float32, in the order given.

    Args:
        model: See `with_maps`.
        layers: Their names.
        training: Whether the encoder is in training mode.
    """

    def read(images: tf.Tensor) -> Maps:
        found = model.maps(images, training=training)
        return {name: tf.cast(found[name], tf.float32) for name in layers}

    return read
