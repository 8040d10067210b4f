"""The embedded data set as a source: `embedded:32`."""

import os

from keras_ssl.core.registry import register
from keras_ssl.data.sources import Source
from keras_ssl.data.tfds_source import from_builder


@register("dataset", "embedded")
def open_embedded(name: str, split: str, data_dir: str | None = None) -> Source:
    """The set that comes with the project: drawn scenes of ten classes.

    Args:
        name: `32` or `64`, the side in pixels.
        split: `train` or `test`, or a part as TFDS writes it.
        data_dir: Where TFDS keeps data; it is made there on first use.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such size or split.
    """
    from keras_ssl.data.embedded.builder import EmbeddedScenes

    sizes = [config.name for config in EmbeddedScenes.BUILDER_CONFIGS]
    if name not in sizes:
        raise ValueError(
            f"The embedded set comes in sizes {', '.join(sizes)}; got {name!r}. Say "
            f"embedded:{sizes[0]}."
        )
    folder = None if data_dir is None else os.path.abspath(data_dir)
    builder = EmbeddedScenes(config=name, data_dir=folder)
    return from_builder(f"embedded:{name}", builder, split)
