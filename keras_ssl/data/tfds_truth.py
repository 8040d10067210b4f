"""Which truth an image of a TFDS set has: a mask, depth, or boxes of objects."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from keras_ssl.data import tfds_labels
from keras_ssl.data.truth import IGNORED, Truth

# Options that say which feature holds it.
FEATURES = ("mask", "instances", "depth", "boxes")
OPTIONS = (*FEATURES, "box_label")
INSTANCES = ("background", "object")

Rows = Callable[..., Mapping[str, Any]]


def find(
    name: str, features: Any, options: Mapping[str, str], rows: Callable[[], Rows]
) -> Truth | None:
    """Finds the truth of a set's images.

    Args:
        name: What the set is called.
        features: Its features.
        options: At most one of `mask`, `instances`, `depth` and `boxes`, the last one
            with `box_label`: names of features, or paths such as `objects/bbox`.
        rows: Makes what maps a scalar index and names of features to these.

    Returns:
        How to read it; None if none is asked for.

    Raises:
        ValueError: If there is no such feature, or it cannot be such a truth.
    """
    asked = [key for key in FEATURES if key in options]
    if not asked:
        if "box_label" in options:
            raise ValueError(
                f"box_label of {name!r} names the classes of boxes; say boxes=FEATURE "
                "too."
            )
        return None
    if len(asked) > 1:
        raise ValueError(
            f"An image of {name!r} can have one truth, and {' and '.join(asked)} are "
            "asked for. Leave one out."
        )
    (kind,) = asked
    if kind == "boxes":
        return _boxes(name, features, options, rows)
    return _map(name, features, kind, options[kind], rows)


def _map(
    name: str, features: Any, kind: str, wanted: str, rows: Callable[[], Rows]
) -> Truth:
    """A number at each pixel: of its class, of its object, or its distance."""
    import tensorflow_datasets as tfds

    path, feature, several = tfds_labels.walk(name, features, wanted, f"{kind}=FEATURE")
    if isinstance(feature, tfds.features.FeaturesDict):
        raise ValueError(
            f"Feature {wanted!r} of {name!r} is made of parts; say which one "
            f"{kind}= means, as in {wanted}/PART."
        )
    shape, dtype = feature.shape, feature.tf_dtype
    flat = not several and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 1))
    fits = dtype.is_integer or dtype.is_bool or (kind == "depth" and dtype.is_floating)
    if not flat or not fits:
        what = "a sequence" if several else f"of shape {shape} and type {dtype.name}"
        number = "number" if kind == "depth" else "whole number"
        raise ValueError(
            f"Feature {wanted!r} of {name!r} is {what}; {kind}= needs a {number} at "
            "each pixel, (h, w) or (h, w, 1)."
        )
    row = rows()

    def read(index: tf.Tensor) -> tf.Tensor:
        x = tfds_labels.at(row(index, path[0]), path)
        x = x[..., 0] if len(shape) == 3 else x
        if kind == "depth":
            x = tf.cast(x, tf.float32)
            # What is not known is written in all these ways.
            return tf.where((x > 0) & tf.math.is_finite(x), x, 0.0)
        x = tf.cast(x, tf.int32)
        if kind == "instances":
            return tf.cast(x > 0, tf.int32)
        return tf.where(x < 0, IGNORED, x)

    if kind == "instances":
        return Truth("mask", read, INSTANCES)
    named = isinstance(feature, tfds.features.LabeledImage)
    names = tuple(feature.names) if named and feature.names else None
    return Truth(kind, read, names)


def _boxes(
    name: str, features: Any, options: Mapping[str, str], rows: Callable[[], Rows]
) -> Truth:
    """Boxes of objects with their classes."""
    import tensorflow_datasets as tfds

    if "box_label" not in options:
        raise ValueError(
            f"boxes= of {name!r} needs the classes of the boxes too: "
            "boxes=FEATURE&box_label=FEATURE."
        )
    found = {}
    for key, kind, what in (
        ("boxes", tfds.features.BBoxFeature, "a box, nor a sequence of them"),
        ("box_label", tfds.features.ClassLabel, "a class, nor a sequence of them"),
    ):
        wanted = options[key]
        found[key] = tfds_labels.walk(name, features, wanted, f"{key}=FEATURE")
        if not isinstance(found[key][1], kind):
            raise ValueError(f"Feature {wanted!r} of {name!r} is not {what}.")
    (box, _, many), (label, named, labels) = found["boxes"], found["box_label"]
    if many != labels:
        raise ValueError(
            f"An image of {name!r} has {'many' if many else 'one'} of "
            f"{options['boxes']!r} and {'many' if labels else 'one'} of "
            f"{options['box_label']!r}: a box needs a class of its own."
        )
    row, keys = rows(), tuple(dict.fromkeys((box[0], label[0])))

    def read(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = row(index, *keys)
        boxes = tf.cast(tfds_labels.at(found, box), tf.float32)
        classes = tf.cast(tfds_labels.at(found, label), tf.int64)
        return tf.reshape(boxes, [-1, 4]), tf.reshape(classes, [-1])

    return Truth("boxes", read, tuple(named.names))
