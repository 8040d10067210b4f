"""Shows what an encoder makes of a few images, again and again as it learns."""

import dataclasses
import math
import pathlib
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.callbacks import attention_maps, retrievals, sheets, spectrum
from keras_ssl.callbacks.embedding import write_embedding
from keras_ssl.core import distribute, run_dir
from keras_ssl.core.registry import register
from keras_ssl.data import pipeline
from keras_ssl.data.rows import rows_of
from keras_ssl.data.unreadable import Unreadable
from keras_ssl.evaluation.data import Frozen

if TYPE_CHECKING:
    from keras_ssl.data.sources import Source

# Features of an image take at most about half the time of training on it once, and all
# of this at most such a share of the whole.
_COST, _SHARE = 0.5, 0.01
# Images encoded at a time, and images whose attention is drawn.
_BATCH, _ATTENDED = 128, 6
# Side in pixels at which images are kept to be drawn.
_SIDE = 128
_WORDS = {
    "retrievals": "Some training images and, most similar first, those of a fixed "
    "part of the others whose features are most like theirs; below each the cosine. "
    "Green frames: of the same class; red: of another.",
    "spectrum": "Singular values of the features of a fixed part of the training "
    "images. A curve that falls early is a dimensional collapse.",
    "attention_maps": "What the class token takes from each patch in the last block: "
    "of each head, and what 60 % of the heads' mean falls on.",
}


class Seen(NamedTuple):
    """What was made of images.

    `rows` is `(n,)`, their numbers among the chosen ones, `features` `(n, d)`,
    `pictures` `n` of them to be drawn, and `first` the first few as the encoder saw
    them.
    """

    rows: np.ndarray
    features: np.ndarray
    pictures: list[np.ndarray]
    first: np.ndarray


@register("callback")
class FeaturePictures(keras.callbacks.Callback):
    """Tells TensorBoard what an encoder makes of some training images.

    Before training, some times during it and at its end: retrievals, the spectrum of
    the features, and attention maps of encoders that have attention; at the end
    features with thumbnails too, for the PROJECTOR tab. The images are the same each
    time, in the middle square that evaluations see. Nothing in the run changes by it,
    and images that cannot be read are left out.

    Args:
        times: About how often in a run; less often where that would take more than
            about 1 % of the time, of short runs at their end only. 0 for never.
        images: Training images that are looked at each time.
        queries: How many of them ask for the others most like them.
        neighbours: How many are found for each.
        projected: Most training images that the PROJECTOR tab shows; 0 for none.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        times: int = 8,
        images: int = 512,
        queries: int = 8,
        neighbours: int = 8,
        projected: int = 2000,
    ) -> None:
        super().__init__()
        if min(times, projected) < 0 or min(queries, neighbours) < 1 or images < 2:
            raise ValueError(
                "FeaturePictures.times and projected must be at least 0, queries and "
                f"neighbours at least 1 and images at least 2; got {times}, "
                f"{projected}, {queries}, {neighbours} and {images}."
            )
        self.times, self.images, self.projected = times, images, projected
        self.queries, self.neighbours = queries, neighbours

    def open(
        self,
        directory: pathlib.Path,
        source: "Source",
        size: int,
        batch_size: int,
        writer: tf.summary.SummaryWriter,
    ) -> "FeaturePictures":
        """Says what is looked at, and where results go.

        Args:
            directory: The run's directory.
            source: What the run trains on.
            size: Side of the images that the encoder sees, pixels; samples of
                recordings.
            batch_size: Images in a global batch.
            writer: TensorBoard's.
        """
        self.directory = directory / run_dir.TENSORBOARD
        # Training counts what cannot be read, by how much it asked for.
        self.source = dataclasses.replace(source, unreadable=_Unnoted())
        self.size, self.batch_size, self.writer = size, batch_size, writer
        most = pipeline.subset(source.count, max(self.images, self.projected))
        # Of any part the first ones are spread evenly too.
        self.places = np.random.default_rng(0).permutation(most)
        self.encode: Frozen | None = None
        return self

    def on_train_begin(self, logs: dict | None = None) -> None:
        epochs, steps = self.params["epochs"], self.params["steps"]
        # Of a short run the end is enough.
        affords = self.times and self.period(epochs, steps) <= epochs
        if affords and self.step() == 0:
            self.draw()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        epochs, steps = self.params["epochs"], self.params["steps"]
        done, last = epoch + 1, epoch + 1 == epochs
        if self.times and (last or done % self.period(epochs, steps) == 0):
            self.draw(last)

    def period(self, epochs: int, steps: int) -> int:
        """Epochs between drawings, of so many of so many steps each."""
        cheap = min(self.images, self.source.count) * _COST / _SHARE
        passes = math.ceil(cheap / max(1, steps * self.batch_size))
        return max(1, epochs // self.times if self.times else epochs, passes)

    def step(self) -> int:
        """Updates made so far."""
        return int(self.model.optimizer.iterations.numpy())

    def draw(self, last: bool = False) -> None:
        """Draws now.

        Args:
            last: Whether training is over: then the PROJECTOR gets its features.
        """
        many = max(self.images, self.projected) if last else self.images
        seen = self._look(many)
        if seen is None:
            return
        self._draw(seen)
        if last and self.projected:
            chosen = seen.rows < self.projected
            labels = self._words(seen.rows[chosen])
            pictures = [p for p, c in zip(seen.pictures, chosen, strict=True) if c]
            places = self.places[seen.rows[chosen]]
            features = seen.features[chosen]
            write_embedding(self.directory, features, pictures, places, labels)

    def _look(self, count: int) -> Seen | None:
        """Encodes the first so many of the chosen images; None if none is readable."""
        if self.encode is None:
            self.encode = Frozen(self.model.product)
        source = rows_of(self.source, self.places[:count])
        rows, features = [], []
        pictures: list[np.ndarray] = []
        first: list[np.ndarray] = []
        for index, images in pipeline.numbered_batches(
            source, self.size, min(_BATCH, source.count), max_corrupt=1.0
        ):
            # One shape for all, which is traced once.
            missing = min(_BATCH, source.count) - len(index)
            padding = [(0, missing)] + [(0, 0)] * (images.shape.rank - 1)
            with distribute.alone():
                found = self.encode(tf.pad(images, padding))
            rows.append(index)
            features.append(np.asarray(found, np.float32)[: len(index)])
            shown = images.numpy()
            first += [*shown[: max(0, _ATTENDED - len(first))]]
            pictures += [
                _kept(x, i < self.images) for i, x in zip(index, shown, strict=True)
            ]
        if not rows:
            return None
        joined = np.concatenate(rows), np.concatenate(features)
        return Seen(*joined, pictures, np.stack(first))

    def _draw(self, seen: Seen) -> None:
        """Tells TensorBoard of the images that are looked at each time."""
        count = int(np.sum(seen.rows < self.images))
        features = seen.features[:count]
        drawn = {"retrievals": self._retrievals(seen, features)}
        numbers: dict[str, float] = {}
        if np.isfinite(features).all():
            values = spectrum.spectrum(features)
            drawn["spectrum"] = spectrum.curve(values)
            numbers = spectrum.summary(values)
        if self._attends():
            with distribute.alone():
                maps = attention_maps.attention_maps(self.model.product, seen.first)
            drawn["attention_maps"] = sheets.sheet({k: [*v] for k, v in maps.items()})
        with self.writer.as_default(self.step()):
            for name, picture in drawn.items():
                if picture is not None:
                    tf.summary.image(name, picture[None], description=_WORDS[name])
            for name, value in numbers.items():
                tf.summary.scalar(f"spectrum/{name}", value)

    def _retrievals(self, seen: Seen, features: np.ndarray) -> np.ndarray | None:
        found = retrievals.retrieve(features, self.queries, self.neighbours)
        if found is None:
            return None
        labels, places = None, self.places[seen.rows[: len(features)]]
        if self.source.labels is not None and not self.source.multi_label:
            labels = np.asarray(self.source.labels[places])
        classes = self.source.classes
        return sheets.sheet(retrievals.rows(seen.pictures, found, labels, classes))

    def _attends(self) -> bool:
        """Whether there is attention that the method does not show itself."""
        shown = self.model.shows == "attention_maps"
        return not shown and attention_maps.has_attention(self.model.product)

    def _words(self, rows: np.ndarray) -> list[str] | None:
        """Names of the classes of chosen images; None without labels."""
        names, labels = self.source.classes, self.source.labels
        if labels is None or names is None:
            return None
        found = np.asarray(labels[self.places[rows]])
        if not self.source.multi_label:
            return [names[int(label)] for label in found]
        return [
            ", ".join(names[i] for i in np.flatnonzero(signs > 0)) or "none"
            for signs in found
        ]


class _Unnoted(Unreadable):
    """Images that cannot be read are left out, and nobody counts them."""

    def add(self, index: int, place: str, error: Exception | None = None) -> None:
        """Nothing."""


def _kept(picture: np.ndarray, sheet: bool) -> np.ndarray:
    """A picture as it is kept: in bytes, and no larger than it will be drawn."""
    side = max(picture.shape[:2]) if picture.ndim > 1 else _SIDE
    return sheets.fitted(picture, min(side, _SIDE if sheet else _SIDE // 2))
