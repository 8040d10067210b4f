"""Trains what predicts something of each place of an image."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import checks, precision
from keras_ssl.core.progress import Progress
from keras_ssl.data import pipeline
from keras_ssl.data.dense_batches import STRETCHED, dense_batches
from keras_ssl.data.dense_training import Placing, training_batches
from keras_ssl.data.rows import rows_of
from keras_ssl.data.sources import Source
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.optimizers.sgd import SGD

# Maps (images, whether to train) to `(n, H, W, k)` float32, of any size.
Predict = Callable[[tf.Tensor, bool], tf.Tensor]
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class DenseFit:
    """SGD with Nesterov's momentum on images of random side, size and place.

    Args:
        name: Of the evaluation, for messages.
        steps: How many.
        batch_size: Images in a batch; at most as many as there are.
        rate: Learning rate at the first step, from where it falls by a cosine.
        weight_decay: Factor of kernels added to their gradients.
        placing: What is drawn of an image.
        seed: Of the order of images and of what is drawn of them.

    Raises:
        ValueError: If a number is out of range.
    """

    name: str
    steps: int
    batch_size: int
    rate: float
    weight_decay: float
    placing: Placing
    seed: int

    def __post_init__(self) -> None:
        checks.positive(steps=self.steps, batch_size=self.batch_size, rate=self.rate)
        checks.not_negative(weight_decay=self.weight_decay)

    def __call__(
        self,
        predict: Predict,
        trained: Sequence[keras.Variable],
        loss: Loss,
        data: EvaluationData,
        kind: str,
    ) -> None:
        """Trains on the train split.

        Args:
            predict: What predicts, in training; in float16 where the policy says so.
            trained: Its weights that are to change.
            loss: Maps predictions, resized bilinearly to the image's size, and truth
                `(n, size, size)` to a scalar.
            data: Whose train split there is to learn from.
            kind: Of truth: `mask` or `depth`.

        Raises:
            ValueError: If too many images cannot be read.
            FloatingPointError: If the loss is no longer finite.
        """
        source = train_part(data)
        count = min(self.batch_size, source.count)
        batches = training_batches(
            source, kind, self.placing, data.size, count, self.steps, self.seed
        )
        optimizer = self._optimizer(trained)
        progress = Progress(f"{self.name} on {source.count} images", self.steps)

        @tf.function(autograph=False)
        def step(images: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                found = tf.image.resize(predict(images, True), [data.size] * 2)
                value = loss(found, truth)
                scaled = optimizer.scale_loss(value)
            gradients = tape.gradient(scaled, trained)
            precision.apply_gradients(optimizer, gradients, trained)
            return value

        done = 0
        for images, truth in batches:
            value = float(step(images, truth))
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The loss of {self.name} became {value}; lower {self.name}.rate, "
                    f"which is {self.rate}."
                )
            progress.add(note=f"loss {value:.4f}")
            done += 1
        if done < self.steps:
            raise ValueError(
                f"More than half of the images of {source.name!r}, or what is true of "
                "them, cannot be read. Copy its files again."
            )

    def protocol(self) -> dict[str, Any]:
        """What a result depends on."""
        return {
            "solver": "SGD, Nesterov momentum 0.9, cosine",
            "steps": self.steps,
            "batch_size": self.batch_size,
            "rate": self.rate,
            "weight_decay": self.weight_decay,
            "views": self.placing.protocol(),
            "preprocessing": STRETCHED,
            "scored": "at the size of the truth",
            "seed": self.seed,
        }

    def _optimizer(
        self, trained: Sequence[keras.Variable]
    ) -> keras.optimizers.Optimizer:
        schedule = keras.optimizers.schedules.CosineDecay(self.rate, self.steps)
        made = SGD(schedule, weight_decay=self.weight_decay, nesterov=True)
        if keras.config.dtype_policy().compute_dtype == "float16":
            made = keras.optimizers.LossScaleOptimizer(made)
        made.build(list(trained))
        return made


def train_part(data: EvaluationData) -> Source:
    """The train split, or the part of it that is asked for."""
    chosen = pipeline.subset(data.train.count, data.train_limit)
    whole = len(chosen) == data.train.count
    return data.train if whole else rows_of(data.train, chosen)


def predictions(
    predict: Predict, data: EvaluationData, kind: str, finish: Callable[..., tf.Tensor]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """What is predicted of each test image, at the size of its truth.

    Args:
        predict: What predicts.
        data: Whose test split there is to predict.
        kind: Of truth: `mask` or `depth`.
        finish: Maps predictions `(n, h, w, k)`, resized bilinearly, to `(n, h, w)`.

    Yields:
        The images' numbers in their source, predictions and truths, `(h, w)` each.
    """

    def infer(images: tf.Tensor) -> tf.Tensor:
        return predict(images, False)

    def sized(found: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return finish(tf.image.resize(found[None], size))[0]

    shown = [tf.TensorSpec([None, data.size, data.size, 3], tf.float32)]
    infer = tf.function(infer, shown, autograph=False)
    map_ = [tf.TensorSpec([None] * 3, tf.float32), tf.TensorSpec([2], tf.int32)]
    sized = tf.function(sized, map_, autograph=False)

    for index, images, truths in dense_batches(
        data.test, kind, data.size, min(64, data.batch_size), data.test_limit
    ):
        for i, found, truth in zip(index, infer(images), truths, strict=True):
            shape = tf.constant(truth.shape, tf.int32)
            yield int(i), sized(found, shape).numpy(), truth
