"""Draws what a method wants to show of itself, such as reconstructions."""

import inspect
import pathlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.callbacks.pictures import draw_rows
from keras_ssl.core import run_dir
from keras_ssl.data import pipeline
from keras_ssl.methods.base import Method

if TYPE_CHECKING:
    from keras_ssl.data.sources import Source


class MethodPictures(keras.callbacks.Callback):
    """Draws a method's `pictures` of the same few images as it learns.

    The latest are a PNG in the run's directory, all are in TensorBoard, by the name of
    what the method shows. Methods without pictures cost nothing.

    Args:
        directory: The run's directory.
        source: Where images come from.
        views: `(images, seeds) -> views`.
        seed: The run's seed.
        writer: TensorBoard's.
        times: About how often to draw in a run.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        source: "Source",
        views: Any,
        seed: int,
        writer: tf.summary.SummaryWriter,
        times: int = 8,
    ) -> None:
        super().__init__()
        self.directory, self.writer, self.times = directory, writer, times
        self.source, self.views, self.seed = source, views, seed
        self.batch: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        epochs = self.params["epochs"]
        every = max(1, epochs // self.times)
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            self.draw()

    def draw(self) -> None:
        """Draws now."""
        if type(self.model).pictures is Method.pictures:
            return
        if self.batch is None:
            count = self.model.pictured
            self.batch = sample(self.source, self.views, self.seed, count)
        if self.batch is None:
            return
        rows = {
            name: np.clip(np.asarray(images, np.float32), 0.0, 1.0)
            for name, images in self.model.draw(self.batch).items()
        }
        if not rows:
            return
        path, step = self.directory / run_dir.PICTURES, self.model.optimizer.iterations
        drawn = draw_rows(path, {k: [*v] for k, v in rows.items()})
        with self.writer.as_default(int(step.numpy())):
            words = inspect.getdoc(self.model.pictures)
            tf.summary.image(self.model.shows, drawn[None], description=words)


def sample(
    source: "Source", views: Any, seed: int, count: int
) -> dict[str, Any] | None:
    """A batch of a few images, spread evenly over a set.

    Args:
        source: Where images come from.
        views: `(images, seeds) -> views`.
        seed: The run's seed.
        count: Number of images.

    Returns:
        `views`, `seed` and `index`, as a method's `forward` takes them; None where no
        image could be read.
    """
    # Without XLA where the views offer it: it would compile for these few.
    render = getattr(views, "render", views)

    def made(images: tf.Tensor, places: np.ndarray) -> dict[str, Any]:
        index = tf.constant(places, tf.int64)
        numbers = tf.cast(index, tf.int32)
        seeds = tf.stack([tf.fill(index.shape, seed), numbers], axis=1)
        return {"views": tuple(render(images, seeds)), "seed": seeds, "index": index}

    places = pipeline.subset(source.count, count)
    if source.shape is not None:
        # At once: one by one some views take 0.4 s each.
        return made(source.read(tf.constant(places, tf.int64)), places)
    found = []
    for i in places:
        image = source.try_read(int(i))
        if image is not None:
            found.append(made(image[None], np.array([i])))
    if not found:
        return None
    return tf.nest.map_structure(lambda *rows: tf.concat(rows, axis=0), *found)
