"""A folder of JPEG and PNG images of any size and nesting."""

import pathlib
import re

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.data.sources import Source

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


@register("dataset", "folder")
def open_folder(name: str, split: str, data_dir: str | None = None) -> Source:
    """A folder of images, without labels unless `?labels=folders` is said.

    Args:
        name: The folder; with `?labels=folders` each first-level folder of a split is
            a class.
        split: A folder in it; `train` may also be the whole folder.
        data_dir: Not used.

    Returns:
        The source.

    Raises:
        ValueError: If the folder or split is missing, or has no images.
    """
    del data_dir
    path, _, option = name.partition("?")
    if option not in ("", "labels=folders"):
        raise ValueError(f"folder: knows '?labels=folders' only, got '?{option}'.")
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise ValueError(f"There is no folder {path!r} (from {pathlib.Path.cwd()}).")
    part, _, limits = split.partition("[")
    folder = root / part
    if not folder.is_dir():
        if part != "train":
            raise ValueError(
                f"{path!r} has no folder {part!r}: a split of a folder is a folder."
            )
        folder = root
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in _ENDINGS)
    if not files:
        raise ValueError(
            f"No images in {str(folder)!r}; looked for {', '.join(sorted(_ENDINGS))}."
        )
    files = files[_slice(split, limits, len(files))]
    classes = labels = None
    if option:
        classes, labels = _labels(folder, files)
    with tf.device("CPU"):
        paths = tf.constant([str(f) for f in files])

    def read(index: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(
            tf.io.read_file(paths[index]), 3, expand_animations=False
        )
        return tf.ensure_shape(image, [None, None, 3])

    full = f"folder:{name}"
    return Source(full, split, len(files), None, read, labels, classes)


def _slice(split: str, limits: str, count: int) -> slice:
    """`:64]` or `10%:]`, as TFDS writes the part of a split; '' is all of it."""
    if not limits:
        return slice(None)
    found = re.fullmatch(r"(\d+%?)?:(\d+%?)?\]", limits)
    if not found:
        raise ValueError(
            "A part of a split is written 'train[:64]' or 'train[10%:]'; got "
            f"{split!r}."
        )
    ends = [
        None
        if end is None
        else (count * int(end[:-1]) // 100 if end.endswith("%") else int(end))
        for end in found.groups()
    ]
    return slice(*ends)


def _labels(
    folder: pathlib.Path, files: list[pathlib.Path]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes are the folders right below `folder`."""
    parts = [f.relative_to(folder).parts for f in files]
    if any(len(part) < 2 for part in parts):
        raise ValueError(
            f"With ?labels=folders every image of {str(folder)!r} must be in a folder "
            "named after its class."
        )
    names = [part[0] for part in parts]
    classes = tuple(sorted(set(names)))
    return classes, np.array([classes.index(n) for n in names], np.int64)
