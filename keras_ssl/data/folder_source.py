"""A folder of images of any kind, size and nesting."""

import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.data.sources import Source, from_files, part_of

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


@register("dataset", "folder")
def open_folder(name: str, split: str, data_dir: str | None = None) -> Source:
    """A folder of images, without labels unless `?labels=folders` is said.

    Nothing but the paths is read and held, so that a million files open in seconds.

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
    folder = _find(path, part_of(split, 0)[0])
    files = list(_images(folder))
    if not files:
        raise ValueError(
            f"No images in {str(folder)!r}; looked for {', '.join(sorted(_ENDINGS))}."
        )
    files = files[part_of(split, len(files))[1]]
    if not files:
        raise ValueError(f"Split {split!r} of {path!r} is empty.")
    classes = labels = None
    if option:
        classes, labels = _labels(folder, files)
    with tf.device("CPU"):
        # As bytes: a name need not be UTF-8.
        start, paths = os.fsencode(f"{folder}{os.sep}"), tf.constant(_bytes(files))

    def where(index: int) -> str:
        return os.fsdecode(start + paths[index].numpy())

    def encoded(index: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(tf.strings.join([start, paths[index]]))

    full = f"folder:{name}"
    return from_files(full, split, len(files), encoded, labels, classes, where)


def _bytes(names: list[str]) -> list[bytes]:
    return [os.fsencode(name) for name in names]


def _find(path: str, split: str) -> pathlib.Path:
    """The folder of a split."""
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise ValueError(f"There is no folder {path!r} (from {pathlib.Path.cwd()}).")
    if (root / split).is_dir():
        return root / split
    if split != "train":
        raise ValueError(
            f"{path!r} has no folder {split!r}: a split of a folder is a folder."
        )
    return root


def _images(folder: pathlib.Path, below: str = "") -> Iterator[str]:
    """Paths of images from `folder` on, sorted name by name; hidden ones are none."""
    with os.scandir(folder / below) as entries:
        found = sorted(
            (entry.name, _is_folder(entry))
            for entry in entries
            if not entry.name.startswith(".")
        )
    for name, deeper in found:
        if deeper:
            yield from _images(folder, f"{below}{name}{os.sep}")
        elif name.lower().endswith(_ENDINGS):
            yield below + name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether to look into it: not where a link leads back up."""
    if not entry.is_symlink():
        return entry.is_dir()
    here = pathlib.Path(entry.path).parent.resolve()
    target = pathlib.Path(entry.path).resolve()
    return entry.is_dir() and target != here and target not in here.parents


def _labels(
    folder: pathlib.Path, files: list[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes are the folders right below `folder`."""
    names = [file.partition(os.sep) for file in files]
    if not all(separator for _, separator, _ in names):
        raise ValueError(
            f"With ?labels=folders every image of {str(folder)!r} must be in a folder "
            "named after its class."
        )
    classes = sorted({name for name, _, _ in names})
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name, _, _ in names], np.int64)
    return tuple(classes), labels
