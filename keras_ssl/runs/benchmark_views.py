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

_ROUNDS, _SECONDS = 5, 1.0
# Batches that pipelines make beforehand, while others have their turn.
_BUFFERED = 6
_SMALL_BATCH, _LARGE_BATCH = 128, 64
_FILES = 64
# What these cannot do is left out in their favour.
_KERAS_CV = "keras-cv layers (bilinear, jitter always in one order)"
_KERAS = "Keras layers (zoom for the crop, bilinear, jitter always in one order)"
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
    passes = {
        "SimCLRViews": _training(source, SimCLRViews(size=32), _SMALL_BATCH),
        _KERAS_CV: _layers(images, _keras_cv_layers(32), _SMALL_BATCH),
        _KERAS: _layers(images, _keras_layers(32), _SMALL_BATCH),
    }
    return _race("32 px, two views, no blur", passes, {_KERAS_CV: 5.0}, _SMALL_BATCH)


def _large() -> list[dict[str, Any]]:
    files = [
        tf.io.encode_jpeg(picture, quality=90).numpy()
        for picture in pictures(_FILES, 375, 500)
    ]
    data = tf.constant(files)
    source = sources.from_files(
        "JPEG files of 500 x 375 px", "train", _FILES, lambda i: tf.gather(data, i)
    )
    views = SimCLRViews(size=224, strength=1.0, blur=0.5)
    passes = {
        "SimCLRViews": _training(source, views, _LARGE_BATCH),
        "decoding alone": _decoding(source, _LARGE_BATCH),
    }
    kilobytes = sum(map(len, files)) / len(files) / 1000
    case = f"224 px, two views with blur, from JPEG files of {kilobytes:.0f} kB"
    return _race(case, passes, {"decoding alone": 0.5}, _LARGE_BATCH)


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
    case: str,
    passes: dict[str, _Pass],
    goals: dict[str, float],
    batch_size: int,
    rounds: int = _ROUNDS,
    seconds: float = _SECONDS,
) -> list[dict[str, Any]]:
    """Images a second of each contender; ours is the first.

    Args:
        case: What they do.
        passes: For each contender what makes a batch and returns its images.
        goals: How many times as many images ours should make.
        batch_size: Images in a batch.
        rounds: Turns that count, after one that compiles.
        seconds: Least length of a turn.

    Returns:
        A row a contender; columns as in `benchmark.COLUMNS`.
    """
    say(f"{case}: ...")
    rates: dict[str, list[float]] = {what: [] for what in passes}
    for round_ in range(rounds + 1):
        for what, one in passes.items():
            for _ in range(_BUFFERED):
                one()
            if round_:
                rates[what].append(_rate(one, seconds))
    ours = next(iter(rates.values()))
    return [
        {
            "case": case,
            "contender": what,
            "batch_size": batch_size,
            "images_per_second": round(statistics.median(found), 1),
            "ours_to_it": round(
                statistics.median(a / b for a, b in zip(ours, found, strict=True)), 2
            ),
            "goal": goals.get(what),
        }
        for what, found in rates.items()
    ]


def _rate(one: _Pass, seconds: float) -> float:
    """Images a second over at least so many seconds."""
    start, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds or done == 0:
        done += one()
    return done / passed


def _layers(images: tf.Tensor, layers: list[Any], batch_size: int) -> _Pass:
    """Two views made by layers, as their users write it: seeds are the layers' own."""

    def view(batch: tf.Tensor) -> tf.Tensor:
        batch = tf.cast(batch, tf.float32) / 255.0
        for layer in layers:
            batch = layer(batch)
        return batch

    def views(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return view(batch), view(batch)

    shuffled = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images)).repeat()
    batches = shuffled.batch(batch_size, drop_remainder=True)
    # With AutoGraph, which layers with conditions on tensors need.
    made = batches.map(views, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    return _counted(iter(made), batch_size)


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
