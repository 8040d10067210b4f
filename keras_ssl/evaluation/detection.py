"""Detection of objects: RetinaNet on an encoder, scored as COCO does."""

import dataclasses
import math
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import checks, precision, randomness
from keras_ssl.core.progress import Progress
from keras_ssl.core.registry import register
from keras_ssl.data import pipeline
from keras_ssl.data.dense_batches import STRETCHED, stretched
from keras_ssl.data.sources import Source
from keras_ssl.evaluation import retinanet
from keras_ssl.evaluation.boxes import BoxedImages, boxed, mirrored, padded
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.fine_tune import copied
from keras_ssl.evaluation.maps import with_maps
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome
from keras_ssl.evaluation.pyramid import EncoderLevels
from keras_ssl.metrics.detection import detection_scores, need_pycocotools

# Largest length of a step's gradient, of all weights together.
_CLIP = 10.0
# Images that are looked at at a time.
_IMAGES = 16


@register("evaluation", "detection")
@dataclasses.dataclass(frozen=True)
class Detection(PerImage):
    """COCO's AP of keras-cv's RetinaNet, trained on the encoder's maps.

    A copy of the encoder is trained with it: what is scored stays as it is. Batch norms
    of the copy then use the batch's statistics, as in MoCo's transfer to detection;
    those of a frozen encoder their own.

    Args:
        steps: Steps of training.
        batch_size: Images in a batch; at most as many as there are.
        rate: Adam's greatest learning rate; after the warm-up it falls by a cosine.
        warmup: Share of the steps in which it rises from 0, in [0, 1).
        frozen: Whether the encoder stays as it is and only what follows is trained.
        width: Channels of the feature pyramid and the heads; 256 in the paper.
        depth: Convolutions of a head before its last one; 4 in the paper.
        cells: Most rows of the finest level, see `EncoderLevels`.
        anchor: Side of a level's smallest anchors, in its cells; 4 in the paper, with
            64 cells at 512 pixels.
        flip: Probability that an image is mirrored in training, in [0, 1].
        seed: What is drawn: new weights, the order of images and which are mirrored.

    Raises:
        ValueError: If a number is out of range.
    """

    score: ClassVar[str] = "ap"
    truth: ClassVar[str] = "boxes"
    steps: int = 300
    batch_size: int = 16
    rate: float = 1e-3
    warmup: float = 0.1
    frozen: bool = False
    width: int = 64
    depth: int = 2
    cells: int = 32
    anchor: float = 2.0
    flip: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        checks.share(warmup=self.warmup, flip=self.flip)
        checks.positive(
            rate=self.rate, anchor=self.anchor, steps=self.steps, width=self.width
        )
        checks.positive(batch_size=self.batch_size, depth=self.depth, cells=self.cells)

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `ap`, `ap50`, `ap75`, each class's AP as `ap/CLASS`, and counts.

        `images` and `boxes` are those of test, `left_out` the boxes of test and train
        that cover nothing of their image.

        Raises:
            ValueError: If the encoder has no maps, train or test no boxes, or classes
                have no names.
            ImportError: If pycocotools is not installed.
        """
        need_pycocotools()
        encoder = with_maps(encode, "detection", data.train.kind)
        train = boxed(data.train, data.train_limit)
        test = boxed(data.test, data.test_limit)
        names = train.classes
        detector = self.fit(encoder, data.size, train)
        found = detections(detector, test.images, data.size)
        numbers = np.array(list(found), int)

        def measure(rows: Rows) -> dict[str, float]:
            shown = numbers[rows]
            scores = detection_scores(
                [test.boxes[i] for i in shown], [found[i] for i in shown], len(names)
            )
            each = {
                f"ap/{name}": float(ap)
                for name, ap in zip(names, scores.by_class, strict=True)
                if not math.isnan(ap)
            }
            return {
                "ap": scores.ap,
                "ap50": scores.ap50,
                "ap75": scores.ap75,
                **each,
                "images": len(shown),
                "boxes": sum(len(test.boxes[i][1]) for i in shown),
                "left_out": train.left_out + test.left_out,
            }

        # Of part of a source they are numbered anew.
        chosen = pipeline.subset(data.test.count, data.test_limit)
        return outcome(chosen[numbers], measure)

    def fit(self, encoder: Any, size: int, train: BoxedImages) -> Any:
        """Trains a detector on a copy of an encoder.

        Args:
            encoder: Where it starts from; it stays as it is.
            size: Side of the images, pixels.
            train: Images with their boxes.

        Returns:
            The detector, see `retinanet`.

        Raises:
            ValueError: If the encoder's maps have a single place.
            FloatingPointError: If the loss is not finite.
        """
        levels = EncoderLevels(copied(encoder, size), size, self.cells, self.frozen)
        detector = retinanet.retinanet(
            levels, len(train.classes), self.width, self.depth, self.anchor, self.seed
        )
        trained = detector.trainable_variables
        optimizer = self._optimizer(encoder.dtype_policy.compute_dtype)
        optimizer.build(trained)
        count = train.images.count
        batches = pipeline.training_batches(
            train.images,
            lambda images, seeds: (stretched(images, size),),
            min(self.batch_size, count),
            self.seed,
        )
        held = [tf.constant(x) for x in padded(train.boxes, size)]
        progress = Progress(f"Training a detector on {count} images", self.steps)

        @tf.function(autograph=False)
        def step(batch: dict[str, Any]) -> tf.Tensor:
            placed, labels = (tf.gather(x, batch["index"]) for x in held)
            chosen = randomness.step_uniforms(batch["seed"], 1)[:, 0] < self.flip
            images, placed = mirrored(batch["views"][0], placed, chosen)
            with tf.GradientTape() as tape:
                loss = retinanet.loss(detector, images, placed, labels)
                scaled = optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, trained)
            precision.apply_gradients(optimizer, gradients, trained)
            return loss

        for batch in batches.take(self.steps):
            loss = float(step(batch))
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"The loss of detection became {loss}; lower detection.rate, "
                    f"which is {self.rate}."
                )
            progress.add(note=f"loss {loss:.4f}")
        return detector

    def _optimizer(self, compute_dtype: str) -> keras.optimizers.Optimizer:
        rise = round(self.warmup * self.steps)
        schedule = keras.optimizers.schedules.CosineDecay(
            self.rate / (rise + 1),
            max(1, self.steps - rise),
            warmup_target=self.rate if rise else None,
            warmup_steps=rise,
        )
        made = keras.optimizers.Adam(schedule, global_clipnorm=_CLIP)
        if compute_dtype == "float16":
            return keras.optimizers.LossScaleOptimizer(made)
        return made

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            "preprocessing": STRETCHED,
            "detector": "RetinaNet of keras-cv",
            "metric": "COCO AP at IoU 0.5 to 0.95, all areas, 100 detections",
            "suppression": f"IoU {retinanet.OVERLAP} within a class, score above "
            f"{retinanet.SUREST_LEFT_OUT}",
            "steps": self.steps,
            "batch_size": self.batch_size,
            "optimizer": f"Adam, gradients clipped at {_CLIP}",
            "rate": self.rate,
            "schedule": "cosine",
            "warmup": self.warmup,
            "frozen": self.frozen,
            "batch_norm": "own statistics" if self.frozen else "of the batch",
            "width": self.width,
            "depth": self.depth,
            "cells": self.cells,
            "anchor": self.anchor,
            "flip": self.flip,
            "seed": self.seed,
        }


def detections(
    detector: Any, source: Source, size: int
) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What a detector finds in the images of a source.

    Args:
        detector: See `retinanet`.
        source: The images.
        size: Side that they are stretched to, pixels.

    Returns:
        By the number of each image that can be read boxes `(k, 4)`, `y0, x0, y1, x1` in
        [0, 1], scores `(k,)` in [0, 1] and classes `(k,)`, the surest first.
    """
    find = tf.function(lambda x: retinanet.detect(detector, x), autograph=False)
    found = {}
    for index, images in pipeline.numbered_batches(
        source, size, _IMAGES, shown=stretched
    ):
        *rows, counts = (x.numpy() for x in find(images))
        for i, count, box, score, label in zip(index, counts, *rows, strict=True):
            found[int(i)] = box[:count] / size, score[:count], label[:count]
    return found
