"""What a run's encoder makes of images it was not trained on, for a report."""

import dataclasses
import importlib.util
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.callbacks import tsne
from keras_ssl.core import console
from keras_ssl.core.progress import Progress
from keras_ssl.data import pipeline, sources
from keras_ssl.evaluation.data import Frozen, unit_rows
from keras_ssl.runs import encoders, fits, report_attention
from keras_ssl.runs.report_records import Recorded

# Sides in pixels of what is shown: of thumbnails, and of retrieved images.
_THUMB, _LARGE = 48, 96
_BATCH = 250
_QUERIES, _NEAREST = 10, 6


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
class Retrieved:
    """Images with those that are nearest to them.

    Attributes:
        rows: `(q, 1 + k)` numbers of points, each query before its neighbours.
        near: `(q, k)` cosines.
        pictures: `(q, 1 + k, s, s, 3)` uint8; None of recordings.
        right: Share of all points whose nearest other is of their class; None without
            labels.
    """

    rows: np.ndarray
    near: np.ndarray
    pictures: np.ndarray | None
    right: float | None


@dataclasses.dataclass(frozen=True)
class Seen:
    """Points of a map and what is known of them.

    Attributes:
        data: Name of the source.
        split: Its split.
        kind: `image` or `audio`.
        index: `(n,)` numbers in the source.
        points: `(n, 2)` in the plane; None where features are not finite.
        way: How they came there.
        labels: `(n,)` class numbers, or None.
        classes: Names of the classes; none without labels.
        thumbs: `(n, s, s, 3)` uint8; None of recordings.
        retrieved: Images with the nearest ones; None where there are too few.
        attention: Attention maps; None of an encoder without.
        notes: Sentences on what is missing.
    """

    data: str
    split: str
    kind: str
    index: np.ndarray
    points: np.ndarray | None
    way: str
    labels: np.ndarray | None
    classes: tuple[str, ...]
    thumbs: np.ndarray | None
    retrieved: Retrieved | None
    attention: report_attention.Attention | None
    notes: tuple[str, ...]

    def name(self, point: int) -> str:
        """What to call a point."""
        label = "" if self.labels is None else f", {self.classes[self.labels[point]]}"
        return f"{self.kind} {self.index[point]}{label}"


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
        source = given or _own(meta, asked, run)
    except ValueError as error:
        return str(error)
    try:
        fits.check_fits(meta, source, meta["image_size"])
    except ValueError as error:
        if given is not None:
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
    points, way = _points(features, asked.seed, notes)
    retrieved = None
    if points is not None and len(index) > 1:
        retrieved = _retrieved(features, labels, source, index, size)
    return Seen(
        *(source.name, source.split, source.kind, index, points, way, labels, classes),
        thumbs,
        retrieved,
        report_attention.attention(encoder, source, index, size),
        tuple(notes),
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
            small.append(_small(shown, min(size, _THUMB)))
        progress.add(len(index))
    if not found:
        raise ValueError(f"None of the images of {source.name!r} can be read.")
    numbers, features = map(np.concatenate, zip(*found, strict=True))
    return numbers, features, np.concatenate(small) if small else None


def _small(images: tf.Tensor, side: int) -> np.ndarray:
    """Pictures `(n, side, side, 3)` uint8 of floats in [0, 1]."""
    return np.rint(pipeline.square(images, side).numpy() * 255).astype(np.uint8)


def _labels(
    source: sources.Source, index: np.ndarray
) -> tuple[np.ndarray | None, tuple[str, ...], list[str]]:
    if source.labels is None or source.classes is None:
        return None, (), ["The data have no labels: points have no colours."]
    if source.multi_label:
        return None, (), ["Images have several labels each: points have no colours."]
    return np.asarray(source.labels[index], np.int64), source.classes, []


def _points(
    features: np.ndarray, seed: int, notes: list[str]
) -> tuple[np.ndarray | None, str]:
    """Where features lie in a plane, and how they came there."""
    if not np.isfinite(features).all():
        notes.append("There is no map: some features are not finite numbers.")
        return None, ""
    if len(features) < 4:
        return principal(features), "principal components, for so few points"
    if importlib.util.find_spec("sklearn") is None:
        notes.append(
            "The map shows the two first principal components: t-SNE needs "
            "scikit-learn, as by pip install 'keras_ssl[plots]'."
        )
        return principal(features), "the two first principal components"
    console.say(f"Placing {len(features):,} points by t-SNE.")
    return tsne.project(features, seed=seed), "t-SNE"


def principal(features: np.ndarray) -> np.ndarray:
    """The two first principal components.

    Args:
        features: `(n, d)`, finite.

    Returns:
        `(n, 2)`, the greatest number of a direction being positive.
    """
    centred = features - features.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    # The sign of a direction is free; so it is the same each time.
    most = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), most])
    found = centred @ (directions * signs[:, None]).T
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def _retrieved(
    features: np.ndarray,
    labels: np.ndarray | None,
    source: sources.Source,
    index: np.ndarray,
    size: int,
) -> Retrieved:
    unit = unit_rows(features)
    asked = queries(labels, len(index))
    near = unit[asked] @ unit.T
    near[np.arange(len(asked)), asked] = -np.inf
    k = min(_NEAREST, len(index) - 1)
    best = np.argsort(-near, axis=1, kind="stable")[:, :k]
    rows = np.column_stack([asked, best])
    pictures = None
    if source.kind == "image":
        side = min(size, _LARGE)
        flat = [_picture(source, int(index[i]), side) for i in rows.ravel()]
        pictures = np.stack(flat).reshape(*rows.shape, side, side, 3)
    near = np.take_along_axis(near, best, axis=1)
    right = None if labels is None else same_class(unit, labels)
    return Retrieved(rows, near, pictures, right)


def queries(labels: np.ndarray | None, count: int) -> np.ndarray:
    """Which points ask: the first one of each class, or evenly spread ones.

    Args:
        labels: `(count,)` class numbers, or None.
        count: Number of points.

    Returns:
        Numbers of at most ten points; never chosen by what they find.
    """
    if labels is None:
        return pipeline.subset(count, _QUERIES)
    firsts = np.unique(labels, return_index=True)[1]
    return firsts[pipeline.subset(len(firsts), _QUERIES)]


def same_class(unit: np.ndarray, labels: np.ndarray) -> float:
    """Share of points whose nearest other one is of their class.

    Args:
        unit: `(n, d)` rows of length 1.
        labels: `(n,)` class numbers.
    """
    right = 0
    for at in range(0, len(unit), 1000):
        near = unit[at : at + 1000] @ unit.T
        rows = np.arange(len(near))
        near[rows, at + rows] = -np.inf
        right += int((labels[near.argmax(axis=1)] == labels[at + rows]).sum())
    return right / len(unit)


def _picture(source: sources.Source, number: int, side: int) -> np.ndarray:
    image = source.try_read(number)
    if image is None:
        return np.zeros((side, side, 3), np.uint8)
    return _small(image[None], side)[0]
