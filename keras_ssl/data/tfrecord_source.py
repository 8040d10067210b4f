"""TFRecord files of `tf.train.Example` that hold image files."""

import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssl.core.console import say
from keras_ssl.core.registry import register
from keras_ssl.data import records
from keras_ssl.data.sources import Labels, Source, from_files, part_of

_OPTIONS = ("image", "label", "classes")
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF")


@register("dataset", "tfrecord")
def open_tfrecord(name: str, split: str, data_dir: str | None = None) -> Source:
    """Uncompressed TFRecord files of any total size, read record by record.

    Args:
        name: A path or glob; `{split}` in it stands for the split's name, and without
            it `train` is all of it. After a `?` follow options, joined by `&`:
            `image=FEATURE`, found out if only one feature holds images;
            `label=FEATURE`, an integer from 0 on, no labels by default;
            `classes=COUNT`, without which all labels are read at once to count them.
            Such as `/data/{split}-*?image=image/encoded&label=image/class/label`.
        split: Such as `train`, `train[:64]`, `train[10%:]`.
        data_dir: Not used.

    Returns:
        The source. Its classes are named by their numbers.

    Raises:
        ValueError: If there are no such files, features or split, or the files cannot
            be read.
    """
    del data_dir
    glob, options = _options(name)
    part = part_of(split, 0)[0]
    if "{split}" not in glob and part != "train":
        raise ValueError(
            f"tfrecord:{glob} has no split {part!r}, only 'train'. Write {{split}} "
            "where the files' names differ between splits."
        )
    files = sorted(tf.io.gfile.glob(glob.replace("{split}", part)))
    if not files:
        raise ValueError(f"No files match {glob.replace('{split}', part)!r}.")
    found = records.find(files)
    found = found.part(part_of(split, len(found))[1])
    if not len(found):
        raise ValueError(f"Split {split!r} of 'tfrecord:{glob}' is empty.")
    read = found.reader()
    feature = _image_feature(read, options, found.where(0))

    def encoded(index: tf.Tensor) -> tf.Tensor:
        return _parse(read(index), feature, tf.string)

    labels, classes = None, None
    if "label" in options:
        labels, classes = _labels(read, options, len(found))
    full = f"tfrecord:{name}"
    return from_files(full, split, len(found), encoded, labels, classes, found.where)


def _labels(
    read: Callable[[tf.Tensor], tf.Tensor], options: dict[str, str], count: int
) -> tuple[Labels, tuple[str, ...]]:
    labels = records.ReadLabels(
        lambda i: _parse(read(i), options["label"], tf.int64), count
    )
    number = int(options.get("classes", 0))
    if not number:
        say(f"Reading {count} labels; ?classes= would spare it.")
        number = 1 + int(labels[np.arange(count)].max())
    return labels, tuple(map(str, range(number)))


def _parse(record: tf.Tensor, feature: str, dtype: tf.DType) -> tf.Tensor:
    spec = {feature: tf.io.FixedLenFeature([], dtype)}
    return tf.io.parse_single_example(record, spec)[feature]


def _options(name: str) -> tuple[str, dict[str, str]]:
    """Glob and options; a `?` may also be part of the glob."""
    found = re.fullmatch(r"(.*?)(?:\?(\w+=.*))?", name)
    glob, text = found.groups() if found else (name, None)
    pairs = [option.partition("=") for option in (text or "").split("&") if option]
    options = {key: value for key, _, value in pairs}
    bad = [key for key, _, value in pairs if key not in _OPTIONS or not value]
    if bad or not options.get("classes", "1").isdecimal():
        raise ValueError(
            "tfrecord: knows the options image=FEATURE, label=FEATURE and "
            f"classes=COUNT; got {text!r}."
        )
    return glob, options


def _image_feature(
    read: Callable[[tf.Tensor], tf.Tensor], options: dict[str, str], where: str
) -> str:
    """The feature that holds the image, found out from the first record."""
    example = tf.train.Example()
    try:
        example.ParseFromString(read(tf.constant(0, tf.int64)).numpy())
    except Exception as error:
        raise ValueError(f"{where}: no record with a tf.train.Example.") from error
    features = example.features.feature
    for key in ("image", "label"):
        if key in options and options[key] not in features:
            raise ValueError(
                f"{where}: no feature {options[key]!r}; it has "
                f"{', '.join(sorted(features)) or 'none'}."
            )
    images = [
        key
        for key, value in features.items()
        if len(value.bytes_list.value) == 1
        and value.bytes_list.value[0].startswith(_BEGINNINGS)
    ]
    if "image" not in options and len(images) != 1:
        raise ValueError(
            f"{where}: {len(images) or 'no'} features hold an image, of "
            f"{', '.join(sorted(features)) or 'none'}. Say which: ?image=FEATURE."
        )
    return options.get("image") or images[0]
