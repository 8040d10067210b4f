"""Data sets of TFDS that are not on disk yet."""

import pathlib
from typing import Any

import tensorflow as tf

from keras_ssl.core.console import say


def prepare(name: str, builder: Any) -> Any:
    """Makes or downloads a set unless it is on disk.

    Several runs may come here at once: each makes the set on its own, aside, and those
    that end later take what the first one put in place.

    Args:
        name: What the set is called.
        builder: Its TFDS builder.

    Returns:
        A builder that reads it.

    Raises:
        ValueError: If it cannot be prepared.
    """
    if _is_there(builder):
        return builder
    import tensorflow_datasets as tfds  # Takes seconds: only who needs it pays.

    say(f"Preparing {name} in {builder.data_dir} (once).")
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare()
    except PermissionError as error:
        raise ValueError(
            f"Cannot write {builder.data_dir} to prepare {name!r}; give a --data_dir "
            "that can be written."
        ) from error
    except Exception as error:
        if _is_there(builder):
            # This builder may know the other's files by halves only.
            return tfds.builder_from_directory(builder.data_dir)
        reason = str(error).strip().splitlines()[0][:200] if str(error) else ""
        raise ValueError(
            f"{name!r} is not in {builder.data_dir} and could not be prepared "
            f"({type(error).__name__}: {reason}). Prepare it where there is a network, "
            f"by tfds build {builder.name}, and give its folder by --data_dir."
        ) from error
    return builder


def is_prepared(name: str, data_dir: str | None = None) -> bool:
    """Whether a set is on disk, found out without building or downloading anything.

    Args:
        name: `NAME`, `NAME/CONFIG` or `NAME:VERSION`; options after a `?` do not count.
        data_dir: Where TFDS keeps data; its own default if None.
    """
    import tensorflow_datasets as tfds

    bare, _, version = name.partition("?")[0].partition(":")
    folder = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    version = version or "*"
    # A set with configurations keeps each in a folder of its own.
    wanted = [f"{bare}/{version}/dataset_info.json"]
    if "/" not in bare:
        wanted.append(f"{bare}/*/{version}/dataset_info.json")
    return any(next(folder.glob(pattern), None) for pattern in wanted)


def _is_there(builder: Any) -> bool:
    # TFDS makes the folder aside and renames it when it is complete.
    return tf.io.gfile.exists(builder.data_dir)
