"""How fast views are made: against keras-cv, against Keras, against decoding alone.

Everything goes through the pipeline that training uses, with all cores. Contenders take
turns in one process, round by round, so that what else the machine does weighs on all
of them alike; what counts is the ratio within a round.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.core.console import say
from keras_ssl.data import pipeline, sources

_ROUNDS = 5
_SMALL_BATCH, _LARGE_BATCH = 128, 64
_Pass = Callable[[], int]


def suite() -> list[dict[str, Any]]:
    """Measures the views.

    Returns:
        A row a contender: what it is, images and views a second (medians), how many
        times as many images a second ours makes, and the goal for this.
    """
    return [*_small(), *_large()]


def pictures(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Scenes with the statistics of photographs: they cost as much to decode.

    Patches in front of each other, each of its own colour and with a texture whose
    amplitude falls as one over the frequency, as it does in natural images.

    Args:
        count: Number of pictures.
        height: Pixels.
        width: Pixels.
        seed: Of the pictures.

    Returns:
        Arrays `(height, width, 3)` uint8.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1.0
    rows, columns = np.mgrid[:height, :width] / height

    def texture() -> np.ndarray:
        noise = np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency
        made = np.fft.irfft2(noise, (height, width))
        made /= made.std(axis=(1, 2), keepdims=True)
        # Mostly light and dark, a third of it colour.
        return np.moveaxis(made[:1] + 0.35 * made, 0, -1)

    def picture() -> np.ndarray:
        canvas = 110.0 + 45.0 * texture()
        for _ in range(6):
            y, x = rng.uniform(0, 1, 2) * (1, width / height)
            a, b = rng.uniform(0.08, 0.35, 2)
            inside = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1
            patch = rng.uniform(40, 215, 3) + 25.0 * texture()
            canvas[inside] = patch[inside]
        return np.clip(canvas, 0, 255).astype(np.uint8)

    return [picture() for _ in range(count)]


def _small() -> list[dict[str, Any]]:
    images = tf.constant(np.stack(pictures(512, 32, 32)))
    source = sources.Source(
        name="pictures of 32 px",
        split="train",
        count=512,
        shape=(32, 32, 3),
        read=lambda index: tf.gather(images, index),
    )
    contenders = {
        "SimCLRViews": (SimCLRViews(size=32), None),
        "the same of keras-cv layers": (_twice(_keras_cv_layers(32)), 5.0),
        "the same of Keras layers": (_twice(_keras_layers(32)), None),
    }
    passes = {
        what: _training(source, views, _SMALL_BATCH)
        for what, (views, _) in contenders.items()
    }
    goals = {what: goal for what, (_, goal) in contenders.items()}
    return _race("32 px, two views, no blur", passes, goals)


def _large() -> list[dict[str, Any]]:
    files = [
        tf.io.encode_jpeg(picture, quality=90).numpy()
        for picture in pictures(128, 375, 500)
    ]
    data = tf.constant(files)
    source = sources.from_files(
        "JPEG files of 500 x 375 px", "train", 128, lambda i: tf.gather(data, i)
    )
    views = SimCLRViews(size=224, strength=1.0, blur=0.5)
    passes = {
        "SimCLRViews": _training(source, views, _LARGE_BATCH),
        "decoding alone": _decoding(source, _LARGE_BATCH),
    }
    kilobytes = sum(map(len, files)) / len(files) / 1000
    case = f"224 px, two views with blur, from JPEG files of {kilobytes:.0f} kB"
    return _race(case, passes, {"decoding alone": 0.5})


def _training(source: sources.Source, views: Any, batch_size: int) -> _Pass:
    """Takes one batch of training."""
    batches = iter(pipeline.training_batches(source, views, batch_size, seed=0))
    return _counted(batches, batch_size)


def _decoding(source: sources.Source, batch_size: int) -> _Pass:
    """Decodes one batch of whole images, and does nothing with them."""
    # A pixel of each, so that batches cost nothing and decoding is not left out.
    images = tf.data.Dataset.range(source.count).repeat()
    pixels = images.map(
        lambda i: source.read(i)[0, 0], tf.data.AUTOTUNE, deterministic=True
    )
    return _counted(iter(pixels.batch(batch_size).prefetch(2)), batch_size)


def _counted(batches: Iterator[Any], batch_size: int) -> _Pass:
    def one() -> int:
        next(batches)
        return batch_size

    return one


def _race(
    case: str, passes: dict[str, _Pass], goals: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Images a second of each contender; ours is the first."""
    say(f"{case}: ...")
    rates: dict[str, list[float]] = {what: [] for what in passes}
    for round_ in range(_ROUNDS + 1):
        for what, one in passes.items():
            # What the pipeline made beforehand, while others had their turn.
            for _ in range(2):
                one()
            start, done = time.perf_counter(), 0
            while (passed := time.perf_counter() - start) < 1.0 or done == 0:
                done += one()
            # The first round compiles.
            if round_:
                rates[what].append(done / passed)
    ours = next(iter(rates.values()))
    return [
        {
            "case": case,
            "contender": what,
            "images_per_second": round(statistics.median(found), 1),
            "ours_to_it": round(
                statistics.median(a / b for a, b in zip(ours, found, strict=True)), 2
            ),
            "goal": goals.get(what),
        }
        for what, found in rates.items()
    ]


def _twice(
    layers: list[Any],
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Two views made by layers, as their users write it: seeds are the layers' own."""

    def view(images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32) / 255.0
        for layer in layers:
            images = layer(images)
        return images

    return lambda images, seeds: (view(images), view(images))


def _keras_cv_layers(size: int) -> list[Any]:
    import keras_cv

    make = keras_cv.layers
    jitter = make.RandomColorJitter(
        value_range=(0, 1),
        brightness_factor=0.4,
        contrast_factor=0.4,
        saturation_factor=(0.3, 0.7),
        hue_factor=0.1,
    )
    return [
        make.RandomCropAndResize((size, size), (0.08, 1.0), (3 / 4, 4 / 3)),
        make.RandomFlip("horizontal"),
        make.RandomApply(jitter, rate=0.8),
        make.RandomApply(make.Grayscale(output_channels=3), rate=0.2),
    ]


def _keras_layers(size: int) -> list[Any]:
    """Keras has no random resized crop: zooming in stands for it."""
    make = keras.layers
    return [
        make.RandomZoom((-0.7, 0.0), (-0.7, 0.0)),
        make.Resizing(size, size),
        make.RandomFlip("horizontal"),
        make.RandomColorJitter(
            value_range=(0, 1),
            brightness_factor=0.4,
            contrast_factor=0.4,
            saturation_factor=(0.3, 0.7),
            hue_factor=0.1,
        ),
        make.RandomGrayscale(0.2),
    ]
