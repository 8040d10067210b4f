"""Which classes an image of a TFDS set has: one, or several of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TfdsLabels:
    """Reads the labels of a set's examples.

    Attributes:
        path: Keys that lead to the feature, such as `("objects", "label")`.
        names: Names of the classes.
        several: Whether it is a sequence of classes, of which an image has any number.
        certain: Keys of the classes that are beyond doubt; those of an image that are
            not among them count neither way. None where all are.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    several: bool = False
    certain: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the labels of one image."""
        return (len(self.names),) if self.several else ()

    def wanted(self) -> dict[str, Any]:
        """What `tfds.decode.PartialDecoding` has to decode for it."""
        found: dict[str, Any] = {}
        for path in (self.path, self.certain):
            if path is not None:
                inner = found
                for key in path[:-1]:
                    inner = inner.setdefault(key, {})
                inner[path[-1]] = True
        return found

    def of(self, row: Mapping[str, Any]) -> tf.Tensor:
        """The labels of a decoded example.

        Returns:
            Scalar int64; where there may be several `(classes,)` int64: 1 where the
            image shows the class, 0 where that does not count, else -1.
        """
        if not self.several:
            return tf.cast(at(row, self.path), tf.int64)
        shown = self._any(row, self.path)
        signs = tf.where(shown, 1, -1)
        if self.certain is not None:
            signs = tf.where(shown & ~self._any(row, self.certain), 0, signs)
        return tf.cast(signs, tf.int64)

    def _any(self, row: Mapping[str, Any], path: tuple[str, ...]) -> tf.Tensor:
        """Which classes a sequence holds: `(classes,)` booleans."""
        found = tf.one_hot(at(row, path), len(self.names), True, False, dtype=tf.bool)
        return tf.reduce_any(found, axis=0)


def find(name: str, features: Any, options: Mapping[str, str]) -> TfdsLabels | None:
    """Finds the labels of a set.

    Args:
        name: What the set is called.
        features: Its features.
        options: `label` and `certain`: names of features, or paths such as
            `objects/label`.

    Returns:
        How to read them; None if none are asked for and there is no `label`.

    Raises:
        ValueError: If there is no such feature, or it holds no classes.
    """
    wanted = options.get("label", "label")
    if "label" not in options and wanted not in features:
        return None
    path, label, several = _classes(name, features, wanted)
    if label is None:
        if "label" in options:
            raise ValueError(
                f"Feature {wanted!r} of {name!r} is no class label, nor a sequence of "
                "them."
            )
        return None
    certain = None
    if "certain" in options:
        certain, other, too = _classes(name, features, options["certain"])
        if not (several and too) or other is None or other.names != label.names:
            raise ValueError(
                f"certain={options['certain']} of {name!r} must be a sequence of the "
                f"same classes as {wanted!r}, and that one a sequence."
            )
    return TfdsLabels(path, tuple(label.names), several, certain)


def _classes(
    name: str, features: Any, wanted: str
) -> tuple[tuple[str, ...], Any | None, bool]:
    """Path and class label of a feature, and whether there may be several a row."""
    import tensorflow_datasets as tfds

    hint = "label=FEATURE, or label=FEATURE/PART"
    path, feature, several = walk(name, features, wanted, hint)
    is_label = isinstance(feature, tfds.features.ClassLabel)
    return path, feature if is_label else None, several


def walk(
    name: str, features: Any, wanted: str, hint: str
) -> tuple[tuple[str, ...], Any, bool]:
    """Follows the name of a feature, or a path such as `objects/label`.

    Args:
        name: What the set is called.
        features: Its features.
        wanted: The name or path.
        hint: How to ask for another one, for the error.

    Returns:
        Its keys, the feature, and whether an example has a sequence of it.

    Raises:
        ValueError: If there is none.
    """
    import tensorflow_datasets as tfds

    # A name may have a slash of its own, such as image/filename.
    path = (wanted,) if wanted in features else tuple(wanted.split("/"))
    several = False
    for key in path:
        if isinstance(features, tfds.features.Sequence):
            features, several = features.feature, True
        known = features if isinstance(features, tfds.features.FeaturesDict) else {}
        if key not in known:
            raise ValueError(
                f"{name!r} has no feature {wanted!r}; it has {sorted(known)}. Say "
                f"which one to read: {hint}."
            )
        features = features[key]
    if isinstance(features, tfds.features.Sequence):
        features, several = features.feature, True
    return path, features, several


def at(row: Any, path: tuple[str, ...]) -> Any:
    """What a decoded example has under the keys of a path."""
    for key in path:
        row = row[key]
    return row
