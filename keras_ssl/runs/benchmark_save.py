"""What saving costs a run: how long training stands still, and what steps lose.

Models and optimizers have the papers' sizes, as what is saved depends on them alone;
views are small and batches too, so that a step takes seconds on two cores.
"""

import functools
import multiprocessing
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core import config, registry
from keras_ssl.methods.base import Method
from keras_ssl.runs import optimizing
from keras_ssl.schedules import Clock, fixed

# Recipes by what they are, with bindings that keep a step small.
CASES = {
    "SimCLR, ResNet-50, LARS": ("recipes/imagenet/simclr.gin", ("image_size = 64",)),
    "DINO, ViT-B/16, AdamW": (
        "recipes/imagenet/dino.gin",
        (
            "ViT.width = 768",
            "ViT.heads = 12",
            "ViT.image_size = 64",
            "image_size = 64",
            "MultiCropViews.sizes = (64, 32)",
            "MultiCropViews.counts = (2, 1)",
        ),
    ),
}
_BATCH, _SIZE = 2, 64
# A save every five minutes should cost less than this share of the time.
_EVERY, _GOAL = 300.0, 0.01


def rows(rounds: int = 3, cases: Sequence[str] = tuple(CASES)) -> list[dict[str, Any]]:
    """Measures saves in the background beside saves that training waits for.

    Args:
        rounds: Turns of either kind of save.
        cases: Which of `CASES`.

    Returns:
        Two rows a case: `case`, `contender`, `batch_size`, `saved_mebibytes`,
        `milliseconds` of a step, `milliseconds_still` (for a save), those `_lost` (and
        by what steps take longer until it is on disk), `share` of the time lost at a
        save every five minutes, and `goal`. Medians over rounds.
    """
    found = []
    for name in cases:
        saved, step, spent = _alone(_measure, *CASES[name], rounds)
        for contender, turns in spent.items():
            still, more = (statistics.median(t) for t in zip(*turns, strict=True))
            # Steps may by chance be faster than others; a save gains nothing.
            lost = still + max(0.0, more)
            found.append(
                {
                    "case": name,
                    "contender": contender,
                    "batch_size": _BATCH,
                    "saved_mebibytes": round(saved / 2**20),
                    "milliseconds": round(1e3 * step, 1),
                    "milliseconds_still": round(1e3 * still, 1),
                    "milliseconds_lost": round(1e3 * lost, 1),
                    "share": round(lost / _EVERY, 5),
                    "goal": _GOAL,
                }
            )
    return found


def _alone(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def _measure(
    recipe: str, words: Sequence[str], rounds: int
) -> tuple[int, float, dict[str, list[tuple[float, float]]]]:
    """Bytes of a checkpoint, seconds of a step, and of a save and steps during it."""
    method, step = _method(recipe, words)
    spent: dict[str, list[tuple[float, float]]] = {}
    steps: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        savers = {
            "in the background": Checkpoint(keep=1),
            "standing still": Checkpoint(keep=1, background=False),
        }
        for saver in savers.values():
            saver.open(folder, method)
        for turn in range(rounds + 1):
            for contender, saver in savers.items():
                plain = [_seconds(step) for _ in range(3)]
                still = _seconds(saver.save)
                during = [_seconds(step)]
                while saver.is_writing:
                    during.append(_seconds(step))
                saver.wait()
                if turn:  # Memory and the disk's cache are cold at first.
                    steps += plain
                    more = sum(during) - len(during) * statistics.median(plain)
                    spent.setdefault(contender, []).append((still, more))
        (path,) = folder.iterdir()
        return path.stat().st_size, statistics.median(steps), spent


def _method(recipe: str, words: Sequence[str]) -> tuple[Method, Callable[[], float]]:
    """The method of a recipe, trained once, and a function that trains a step."""
    registry.load()
    config.parse([recipe], list(words))
    keras.utils.set_random_seed(0)
    views = config.value("train", "views")
    pixels = tf.cast(tf.random.uniform([_BATCH, _SIZE, _SIZE, 3], 0, 255), tf.uint8)
    seeds = tf.zeros([_BATCH, 2], tf.int32)
    batch = {
        "views": tuple(getattr(views, "render", views)(pixels, seeds)),
        "seed": seeds,
        "index": tf.range(_BATCH, dtype=tf.int64),
    }
    method: Method = config.value("train", "method")
    clock = Clock(100, 10)
    method.setup(tf.nest.map_structure(tf.TensorSpec.from_tensor, batch), clock)
    optimizer = config.value("train", "optimizer")
    optimizing.compile_method(method, clock, optimizer, fixed(clock, 1e-6), 1.0)
    step = tf.function(method.train_step, autograph=False)
    train = functools.partial(_run, step, batch)
    train()
    return method, train


def _run(step: Callable[[Any], Any], batch: Any) -> float:
    return float(step(batch)["loss"])


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun
