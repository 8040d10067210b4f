"""Data sets of TFDS that are not on disk yet."""

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
            "and give its folder by --data_dir."
        ) from error
    return builder


def _is_there(builder: Any) -> bool:
    # TFDS makes the folder aside and renames it when it is complete.
    return tf.io.gfile.exists(builder.data_dir)
