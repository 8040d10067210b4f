"""Features of a few images for TensorBoard's PROJECTOR tab, with thumbnails.

TensorBoard looks for `projector_config.pbtxt` beside the event files; that names the
others by paths relative to it, so that a run can be moved.
"""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_ssl.callbacks import sheets
from keras_ssl.core import durable, run_dir

CONFIG = "projector_config.pbtxt"
_FOLDER = "projector"
# Browsers refuse larger textures.
_SPRITE = 8192
_LARGEST, _SMALLEST = 64, 8


def write_embedding(
    directory: pathlib.Path,
    features: np.ndarray,
    pictures: Sequence[np.ndarray],
    index: np.ndarray,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes what the PROJECTOR tab shows, in place of what was there.

    Args:
        directory: Where TensorBoard's event files are.
        features: `(n, d)` floats; what is no number becomes 0.
        pictures: `n`, as for `sheets.fitted`.
        index: `(n,)`, the number of each image in its source.
        labels: Of each image, in words.

    Raises:
        ValueError: If there are no features, or not one picture and number for each.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    count = len(features)
    if not count or not count == len(pictures) == len(index):
        raise ValueError(
            "An embedding needs features, and a picture and a number of each; got "
            f"{count} features, {len(pictures)} pictures and {len(index)} numbers."
        )
    # It shows three dimensions.
    missing = max(0, 3 - features.shape[1])
    features = np.pad(np.nan_to_num(features), [(0, 0), (0, missing)])
    folder = directory / _FOLDER
    side = _side(count, pictures)
    data = _binary(features)
    with durable.replacing(folder / "features.bytes", "wb", len(data)) as file:
        file.write(data)
    run_dir.write_text(folder / "metadata.tsv", _metadata(index, labels))
    sheets.save(folder / "sprite.png", _sprite(pictures, side))
    # Last: it names the others.
    run_dir.write_text(directory / CONFIG, _config(count, features.shape[1], side))


def _binary(features: np.ndarray) -> bytes:
    """Little-endian float32, as TensorBoard reads what is no text."""
    x = np.ascontiguousarray(features, "<f4")
    data = bytearray(x.tobytes())
    # TensorBoard takes a file for text until it meets a byte that can be none. No text
    # in UTF-8 begins with this one; it is the last digit of the first number.
    data[0] |= 0x80
    data[0] &= 0xBF
    return bytes(data)


def _metadata(index: np.ndarray, labels: Sequence[str] | None) -> str:
    """A line an image; TensorBoard wants a line of names where there are columns."""
    if labels is None:
        return "".join(f"image {i}\n" for i in index)
    rows = zip((" ".join(label.split()) for label in labels), index, strict=True)
    return "label\timage\n" + "".join(f"{label}\t{i}\n" for label, i in rows)


def _side(count: int, pictures: Sequence[np.ndarray]) -> int:
    """Side of a thumbnail, pixels: that of the pictures, as far as there is room."""
    sizes = [max(p.shape[:2]) for p in pictures if p.ndim > 1]
    most = min(_LARGEST, _SPRITE // _columns(count))
    return max(_SMALLEST, min(max(sizes, default=_LARGEST), most))


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _sprite(pictures: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Thumbnails in rows, as many as columns: TensorBoard divides it by their side."""
    columns = _columns(len(pictures))
    sprite = np.full((columns * side, columns * side, 3), 255, np.uint8)
    for at, picture in enumerate(pictures):
        y, x = (side * n for n in divmod(at, columns))
        sprite[y : y + side, x : x + side] = sheets.fitted(picture, side)
    return sprite


def _config(count: int, width: int, side: int) -> str:
    return f"""embeddings {{
  tensor_name: "features"
  tensor_shape: {count}
  tensor_shape: {width}
  tensor_path: "{_FOLDER}/features.bytes"
  metadata_path: "{_FOLDER}/metadata.tsv"
  sprite {{
    image_path: "{_FOLDER}/sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
