"""What the special parts of methods cost beside a train step.

Each part and the step take turns in one process, so that a machine that slows down
does so for both.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.encoders.resnet import ResNet
from keras_ssl.heads.mlp import MLP
from keras_ssl.memory import Bank, Ema, Queue
from keras_ssl.methods import multi_crop
from keras_ssl.schedules import Clock

# Sizes of the papers' small settings: MoCo's queue for ImageNet, a bank of CIFAR-10,
# SwAV's prototypes.
_WIDTH, _QUEUE, _BANK, _PROTOTYPES = 128, 65_536, 50_000, 3_000
_CROPS = "2 x 32 px and 4 x 20 px"


def rows(batch_size: int = 64, rounds: int = 15) -> list[dict[str, Any]]:
    """Times parts beside a step of a ResNet-18 with the stem for small images.

    Args:
        batch_size: Images, of two views each.
        rounds: Turns that count, after two that do not.

    Returns:
        A row for each part: `case`, `batch_size`, `milliseconds` (median), `share`, the
        median over turns of its part of a step, and `goal`, the greatest share wanted.
        The last row's share is that of a pixel of many views in one of two equal ones.

    Raises:
        ValueError: If a number is not positive.
    """
    if batch_size < 1 or rounds < 1:
        raise ValueError(
            f"batch_size and rounds must be at least 1, got {batch_size} and {rounds}."
        )
    encoder, projector = ResNet(depth=18, stem="cifar"), MLP((512, _WIDTH))
    step = _step(encoder, projector, batch_size)
    parts = _parts(encoder, projector, batch_size)
    found = []
    beside = {name: (part, step, goal) for name, (part, goal) in parts.items()}
    crops, equal, pixels = _crops(encoder, batch_size)
    beside[f"a pixel of {_CROPS}, forward"] = (crops, equal, 1.15)
    for name, (part, other, goal) in beside.items():
        seconds, shares = [], []
        for turn in range(rounds + 2):
            mine, whole = _seconds(part), _seconds(other)
            if part is crops:
                whole *= pixels
            if turn >= 2:  # The first ones trace.
                seconds.append(mine)
                shares.append(mine / whole)
        found.append(
            {
                "case": name,
                "batch_size": batch_size,
                "milliseconds": round(1e3 * statistics.median(seconds), 2),
                "share": round(statistics.median(shares), 4),
                "goal": goal,
            }
        )
    return found


def _step(
    encoder: keras.Model, projector: keras.layers.Layer, batch_size: int
) -> Callable[[], tf.Tensor]:
    """Two views forward and backward; the optimizer's work is left out."""
    images = tf.random.stateless_uniform([2 * batch_size, 32, 32, 3], [0, 1])
    projector(encoder(images[:2]))
    weights = [*encoder.trainable_variables, *projector.trainable_variables]

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            z = projector(encoder(images, training=True), training=True)
            loss = losses.nt_xent(*tf.split(z, 2))
        gradients = tape.gradient(loss, [v.value for v in weights])
        return tf.add_n([tf.reduce_sum(g) for g in gradients])

    return step


def _parts(
    encoder: keras.Model, projector: keras.layers.Layer, batch_size: int
) -> dict[str, tuple[Callable[[], tf.Tensor], float]]:
    """Compiled parts and the share of a step that each may cost."""
    target = Ema([encoder, projector], lambda clock: lambda step: tf.constant(0.99))
    target(tf.zeros([2, 32, 32, 3]))
    target.on_built()
    keys = tf.random.stateless_normal([batch_size, _WIDTH], [0, 2])
    queue, bank = Queue(_QUEUE), Bank()
    bank.prepare(Clock(1, 1, _BANK))
    queue(keys), bank(keys)
    index = tf.range(batch_size, dtype=tf.int64) * (_BANK // batch_size)
    cosines = tf.random.stateless_uniform([2, batch_size, _PROTOTYPES], [0, 3], -1.0)

    def moved() -> tf.Tensor:
        target.after_step(lambda schedule: tf.constant(0.99))
        return tf.constant(0.0)

    def pushed() -> tf.Tensor:
        queue.push(keys)
        return tf.constant(0.0)

    def updated() -> tf.Tensor:
        bank.update(index, keys)
        return tf.constant(0.0)

    made = {
        "target moves (Ema)": (moved, 0.03),
        f"queue of {_QUEUE:,} takes keys": (pushed, 0.01),
        f"bank of {_BANK:,} moves rows": (updated, 0.01),
        f"Sinkhorn, {_PROTOTYPES:,} prototypes": (
            lambda: tf.reduce_sum(losses.sinkhorn(cosines)),
            0.02,
        ),
    }
    return {
        name: (tf.function(part, autograph=False), goal)
        for name, (part, goal) in made.items()
    }


def _crops(
    encoder: keras.Model, batch_size: int
) -> tuple[Callable[[], tf.Tensor], Callable[[], tf.Tensor], float]:
    """Views of two sizes forward, two of the large ones alone, and how many pixels."""
    large, small = (
        [tf.random.stateless_uniform([batch_size, side, side, 3], [0, 1])] * count
        for side, count in ((32, 2), (20, 4))
    )

    def forward(views: list[tf.Tensor]) -> Callable[[], tf.Tensor]:
        return tf.function(
            lambda: tf.add_n(
                [tf.reduce_sum(f) for f in multi_crop.by_size(encoder, views)]
            ),
            autograph=False,
        )

    pixels = (2 * 32**2 + 4 * 20**2) / (2 * 32**2)
    return forward(large + small), forward(large), pixels


def _seconds(call: Callable[[], tf.Tensor]) -> float:
    begun = time.perf_counter()
    call().numpy()
    return time.perf_counter() - begun
