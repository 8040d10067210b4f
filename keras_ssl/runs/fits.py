"""Whether an encoder takes the data that it is to be scored on."""

from typing import Any

from keras_ssl.core import registry
from keras_ssl.data import sources
from keras_ssl.encoders.base import kind
from keras_ssl.runs import encoders


def check_fits(meta: dict[str, Any], source: sources.Source, size: int) -> None:
    """Refuses data that an encoder cannot take, before anything is encoded.

    Args:
        meta: The encoder's record, see `encoders.read`.
        source: What is to be encoded.
        size: Side of the images in pixels, or length of recordings in samples.

    Raises:
        ValueError: If the kind of data or the size does not fit.
    """
    for plugin in meta.get("plugins", ()):
        registry.load(plugin)
    # What a projector follows is inside.
    inner = meta["config"].get("encoder")
    inner = inner.get("name") if isinstance(inner, dict) else None
    name = inner if inner in registry.names("encoder") else meta["name"]
    sources.check_kind(source, kind(registry.get("encoder", name)))
    if size == meta["image_size"]:
        return
    if size < 1:
        raise ValueError(f"image_size must be at least 1, got {size}.")
    try:
        encoders.build({**meta, "image_size": size})
    except Exception as error:
        reason = _reason(error)
        raise ValueError(
            f"The encoder {name}, trained on {meta['image_size']}, does not take an "
            f"image_size of {size}: {reason}"
        ) from error


def _reason(error: Exception) -> str:
    """What was wrong, without what Keras writes around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception enc", "Argum"))]
    return (said or [type(error).__name__])[0].split("\x1b[1m")[-1].split("\x1b[0m")[0]
