"""What a run's encoder makes of images it was not trained on, for a report."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.callbacks.attention_maps import attention_maps, has_attention
from keras_ssl.callbacks.retrievals import Retrieved, retrieve
from keras_ssl.core import console
from keras_ssl.core.progress import Progress
from keras_ssl.data import pipeline, sources
from keras_ssl.evaluation.data import Frozen, unit_rows
from keras_ssl.runs import encoders, fits, report_points
from keras_ssl.runs.report_records import Recorded

# Sides in pixels of what is shown: of thumbnails, and of retrieved images.
_THUMB, _LARGE = 48, 96
_BATCH = 250
_NEAREST, _LOOKED = 6, 6


@dataclasses.dataclass(frozen=True)
class Asked:
    """What to look at.

    Args:
        data: A source, see `sources.open_source`; what each run trained on if None.
        split: Its split; `test` if None, and where there is no such split that which
            the run was trained on.
        data_dir: Where TFDS keeps data; the run's own if None.
        images: Most examples, spread evenly over the split; at least 1.
        seed: Of t-SNE.
    """

    data: str | None = None
    split: str | None = None
    data_dir: str | None = None
    images: int = 2000
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Opened:
    """An encoder's record with the data that it is to be shown."""

    run: Recorded
    meta: dict[str, Any]
    source: sources.Source


@dataclasses.dataclass(frozen=True)
class Seen:
    """Points of a map and what is known of them.

    Attributes:
        data: Name of the source.
        split: Its split.
        names: What to call each point: its number in the source, and its file.
        points: `(n, 2)` in the plane; None where features are not finite.
        way: How they came there.
        labels: `(n,)` class numbers, or None.
        classes: Names of the classes; none without labels.
        thumbs: `(n, s, s, 3)` uint8; None of recordings.
        retrieved: Points with the nearest ones; None where there are too few.
        large: `(s, s, 3)` uint8 pictures of points that were retrieved or asked.
        right: Share of all points whose nearest other one is of their class; None
            without labels or retrievals.
        attention: Attention maps `(m, s, s, 3)` uint8 by what they show; none of an
            encoder without attention.
        looked: `(m,)` points that the attention maps are of.
        notes: Sentences on what is missing.
    """

    data: str
    split: str
    names: tuple[str, ...]
    points: np.ndarray | None
    way: str
    labels: np.ndarray | None
    classes: tuple[str, ...]
    thumbs: np.ndarray | None
    retrieved: Retrieved | None
    large: dict[int, np.ndarray]
    right: float | None
    attention: dict[str, np.ndarray]
    looked: np.ndarray
    notes: tuple[str, ...]

    def name(self, point: int) -> str:
        """What to call a point, with its class."""
        label = "" if self.labels is None else f", {self.classes[self.labels[point]]}"
        return f"{self.names[point]}{label}"


def opened(run: Recorded, asked: Asked) -> Opened | str:
    """An encoder's record with its data, or a sentence that says what is missing.

    Args:
        run: The run.
        asked: What to look at.

    Raises:
        ValueError: If the data that were asked for are unknown, or do not fit.
    """
    if asked.images < 1:
        raise ValueError(f"images must be at least 1, got {asked.images}.")
    given = None
    if asked.data is not None:
        # Whoever names data is told of a mistake, whatever there is of the run.
        given = _source(asked.data, asked, run, asked.split or "test")
    try:
        _, meta = encoders.read(run.path)
        encoders.check_trained(run.path, meta)
    except ValueError as error:
        return str(error)
    try:
        source = given or _own(meta, asked, run)
        fits.check_fits(meta, source, meta["image_size"])
    except ValueError as error:
        if asked.data or asked.split:
            raise
        return str(error)
    return Opened(run, meta, source)


def _own(meta: dict[str, Any], asked: Asked, run: Recorded) -> sources.Source:
    """The test split of what a run was trained on, if there is one."""
    data = meta.get("data") or {}
    if not data.get("source"):
        raise ValueError(f"{run.path} has no data of its own; give --data=....")
    try:
        return _source(data["source"], asked, run, asked.split or "test")
    except ValueError:
        if asked.split is not None:
            raise
        return _source(data["source"], asked, run, data.get("split") or "train")


def _source(name: str, asked: Asked, run: Recorded, split: str) -> sources.Source:
    where = asked.data_dir or run.record.get("data_dir")
    return sources.open_source(name, split, where)


def look(found: Opened, asked: Asked) -> Seen:
    """Encodes images and says where they lie.

    Args:
        found: The encoder's record and the data.
        asked: What to look at.

    Raises:
        ValueError: If the encoder computes something else than when it was saved, or
            too many images cannot be read.
    """
    encoder, meta = encoders.load(found.run.path)
    source, size = found.source, meta["image_size"]
    index, features, thumbs = _encoded(encoder, source, size, asked.images, found.run)
    labels, classes, notes = _labels(source, index)
    if source.kind != "image":
        notes.append("Recordings have no thumbnails.")
    points, way = report_points.placed(features, asked.seed, notes)
    found_near, right = None, None
    if points is not None:
        asking = report_points.queries(labels, len(index))
        found_near = retrieve(features, asking.tolist(), _NEAREST)
    if found_near is not None and labels is not None:
        right = report_points.same_class(unit_rows(features), labels)
    looked = pipeline.subset(len(index), _LOOKED)
    return Seen(
        data=source.name,
        split=source.split,
        names=tuple(_name(source, int(i)) for i in index),
        points=points,
        way=way,
        labels=labels,
        classes=classes,
        thumbs=thumbs,
        retrieved=found_near,
        large=_large(source, index, found_near, min(size, _LARGE)),
        right=right,
        attention=_attention(encoder, source, index[looked], size),
        looked=looked,
        notes=tuple(notes),
    )


def _encoded(
    encoder: Any, source: sources.Source, size: int, limit: int, run: Recorded
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Numbers `(n,)`, features `(n, d)` and thumbnails of what can be read."""
    encode, found, small = Frozen(encoder), [], []
    count = len(pipeline.subset(source.count, limit))
    console.say(
        f"{run.label}: encoding {count:,} examples of {source.name} ({source.split})."
    )
    progress = Progress("Encoding", count, "examples")
    for index, shown in pipeline.numbered_batches(source, size, _BATCH, limit):
        found.append((index, np.asarray(encode(shown), np.float32)))
        if source.kind == "image":
            small.append(_bytes(pipeline.square(shown, min(size, _THUMB)).numpy()))
        progress.add(len(index))
    if not found:
        raise ValueError(f"None of the images of {source.name!r} can be read.")
    numbers, features = map(np.concatenate, zip(*found, strict=True))
    return numbers, features, np.concatenate(small) if small else None


def _labels(
    source: sources.Source, index: np.ndarray
) -> tuple[np.ndarray | None, tuple[str, ...], list[str]]:
    if source.labels is None or source.classes is None:
        return None, (), ["The data have no labels: points have no colours."]
    if source.multi_label:
        return None, (), ["Images have several labels each: points have no colours."]
    return np.asarray(source.labels[index], np.int64), source.classes, []


def _name(source: sources.Source, number: int) -> str:
    """What to call an example; of a file without its folder."""
    kind = "recording" if source.kind == "audio" else source.kind
    place = pathlib.Path(source.where(number) if source.where else "")
    # Of a record among others where it is tells nobody anything.
    return f"{kind} {number}" + (f", {place.name}" if place.is_file() else "")


def _large(
    source: sources.Source, index: np.ndarray, found: Retrieved | None, side: int
) -> dict[int, np.ndarray]:
    """Pictures of the points of retrievals."""
    if found is None or source.kind != "image":
        return {}
    points = np.unique(np.concatenate([found.queries, found.indices.ravel()]))
    shown = _pictures(source, index[points], side)
    return dict(zip(points.tolist(), _bytes(shown), strict=True))


def _attention(
    encoder: Any, source: sources.Source, index: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """Attention maps of some images, coloured, by what they show."""
    from matplotlib import colormaps

    if source.kind != "image" or not has_attention(encoder):
        return {}
    images = _pictures(source, index, size)
    gray, made = images.mean(axis=-1, keepdims=True), {}
    for name, shown in attention_maps(encoder, images).items():
        if name.startswith("head"):
            heat = colormaps["inferno"](shown[..., 0])[..., :3]
            shown = 0.3 * gray + 0.7 * heat
        small = pipeline.square(tf.constant(shown, tf.float32), min(size, _LARGE))
        made[name] = _bytes(small.numpy())
    return made


def _pictures(source: sources.Source, index: np.ndarray, side: int) -> np.ndarray:
    """Images `(m, side, side, 3)` floats in [0, 1]; black where one is unreadable."""
    found = np.zeros((len(index), side, side, 3), np.float32)
    for place, number in enumerate(index):
        image = source.try_read(int(number))
        if image is not None:
            found[place] = pipeline.square(image[None], side)[0]
    return found


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255).astype(np.uint8)
