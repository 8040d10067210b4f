"""The embedded data set as a source: `embedded:32`."""

import dataclasses
import os

from keras_ssl.core.registry import register
from keras_ssl.data.sources import Source
from keras_ssl.data.tfds_source import from_builder

_TRUTHS = {
    "mask": {"mask": "mask"},
    "depth": {"depth": "depth"},
    "boxes": {"boxes": "bbox", "box_label": "label"},
}
_PARTS = ("background", "object", "occluder")


@register("dataset", "embedded")
def open_embedded(name: str, split: str, data_dir: str | None = None) -> Source:
    """The set that comes with the project: drawn scenes of ten classes.

    Args:
        name: `32` or `64`, the side in pixels. `?truth=` adds what is true of places:
            `mask` (background, object, occluder), `depth` (of 255, the farthest) or
            `boxes` (one a scene, of its object).
        split: `train` or `test`, or a part as TFDS writes it.
        data_dir: Where TFDS keeps data; it is made there on first use.

    Returns:
        The source.

    Raises:
        ValueError: If there is no such size, split or truth.
    """
    from keras_ssl.data.embedded.builder import EmbeddedScenes

    full = f"embedded:{name}"
    name, question, option = name.partition("?")
    truth = option.removeprefix("truth=")
    if question and (not option.startswith("truth=") or truth not in _TRUTHS):
        raise ValueError(
            f"embedded: knows '?truth=mask', '?truth=depth' and '?truth=boxes' only, "
            f"got '?{option}'."
        )
    sizes = [config.name for config in EmbeddedScenes.BUILDER_CONFIGS]
    if name not in sizes:
        raise ValueError(
            f"The embedded set comes in sizes {', '.join(sizes)}; got {name!r}. Say "
            f"embedded:{sizes[0]}."
        )
    folder = None if data_dir is None else os.path.abspath(data_dir)
    builder = EmbeddedScenes(config=name, data_dir=folder)
    source = from_builder(full, builder, split, _TRUTHS.get(truth))
    if truth == "mask" and source.truth:
        named = dataclasses.replace(source.truth, classes=_PARTS)
        return dataclasses.replace(source, truth=named)
    return source
