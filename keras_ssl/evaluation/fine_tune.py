"""Fine-tuning: the whole encoder and a linear layer, on all labels or on a few.

The semi-supervised protocol of SimCLR (https://arxiv.org/abs/2002.05709, section 6) and
SimCLRv2 (https://arxiv.org/abs/2006.10029, appendix B): crops and flips, no other
augmentation, a layer that starts at zero.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.augmentations.policies.mae import MAEViews
from keras_ssl.core import precision
from keras_ssl.core.progress import Progress
from keras_ssl.core.registry import register
from keras_ssl.core.tracing import named_variables
from keras_ssl.data import pipeline, sources
from keras_ssl.data.rows import rows_of
from keras_ssl.encoders.base import example_shape
from keras_ssl.encoders.projected import ProjectedEncoder
from keras_ssl.evaluation.data import Encode, EvaluationData, need_model
from keras_ssl.evaluation.few_shot import draw
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome
from keras_ssl.heads.linear import Linear
from keras_ssl.optimizers.sgd import SGD


def _nesterov(learning_rate: Any) -> SGD:
    return SGD(learning_rate, nesterov=True)


@register("evaluation", "fine_tune")
@dataclasses.dataclass(frozen=True)
class FineTune(PerImage):
    """Top-1 of the encoder after it was trained on labels, from its weights on.

    A copy is trained: what is scored stays as it is. With `--projector_layers` it is
    followed by the first layers of the projector, from which SimCLRv2 fine-tunes.

    Args:
        fraction: Share of train whose labels are used, in (0, 1]; below 1 as many
            images of each class, at least one.
        epochs: Passes over these images.
        batch_size: Images in a batch; at most as many as there are.
        rate: Learning rate, times `batch_size / 256`; it falls by a cosine.
        head_factor: What the rate of the new layer is multiplied by.
        optimizer: Makes an optimizer from `learning_rate=`.
        area: Least and greatest area of a crop, fractions of the image.
        seed: Which images have labels, their order, and crops.

    Raises:
        ValueError: If a number is out of range.
    """

    score: ClassVar[str] = "top1"
    fraction: float = 1.0
    epochs: int = 30
    batch_size: int = 256
    rate: float = 0.05
    head_factor: float = 1.0
    optimizer: Callable[..., Any] = _nesterov
    area: tuple[float, float] = (0.08, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}.")
        if (
            min(self.epochs, self.batch_size) < 1
            or min(self.rate, self.head_factor) <= 0
        ):
            raise ValueError(
                "epochs, batch_size, rate and head_factor must be positive, got "
                f"{self.epochs}, {self.batch_size}, {self.rate}, {self.head_factor}."
            )

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `top1`, `top5` where there are more classes, and `images` used."""
        classifier, count = self.fit(need_model(encode, "fine_tune"), data)
        predict = tf.function(lambda x: classifier(x, training=False), autograph=False)
        logits, labels, index = data.split(predict, data.test, data.test_limit)

        def measure(rows: Rows) -> dict[str, float]:
            return {**accuracies(logits[rows], labels[rows]), "images": count}

        return outcome(index, measure)

    def fit(
        self, encoder: keras.Model, data: EvaluationData
    ) -> tuple[ProjectedEncoder, int]:
        """Trains a copy of an encoder.

        Args:
            encoder: Where it starts from.
            data: Whose train split has the labels.

        Returns:
            The classifier, and on how many images it was trained.

        Raises:
            ValueError: If a class has no image for its share.
        """
        part = labelled_part(data, self.fraction, self.seed)
        labels, classes = part.need_labels("Fine-tuning")
        size = min(self.batch_size, part.count)
        steps = self.epochs * pipeline.steps_per_epoch(part, size)
        head = Linear(len(classes))
        classifier = ProjectedEncoder(copied(encoder, data.size), head)
        classifier(tf.zeros([1, *example_shape(encoder, data.size)]))
        optimizer = self._optimizer(classifier, self.rate * size / 256, steps)
        numbers = tf.constant(labels[np.arange(part.count)], tf.int32)
        views = MAEViews(data.size, area=self.area)
        batches = pipeline.training_batches(part, views, size, self.seed)
        progress = Progress(f"Fine-tuning on {part.count} images", steps)

        @tf.function(autograph=False)
        def step(batch: dict[str, Any]) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = classifier(batch["views"][0], training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    tf.gather(numbers, batch["index"]), logits
                )
                loss = tf.reduce_mean(losses)
                scaled = optimizer.scale_loss(loss)
            trained = classifier.trainable_variables
            gradients = tape.gradient(scaled, trained)
            precision.apply_gradients(optimizer, gradients, trained)
            return loss

        for batch in batches.take(steps):
            loss = float(step(batch))
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"The loss of fine-tuning became {loss}; lower fine_tune.rate, "
                    f"which is {self.rate}."
                )
            progress.add(note=f"loss {loss:.4f}")
        return classifier, part.count

    def _optimizer(
        self, classifier: ProjectedEncoder, rate: float, steps: int
    ) -> keras.optimizers.Optimizer:
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
        made = self.optimizer(learning_rate=schedule)
        trained = classifier.trainable_variables
        optimizer = made
        if classifier.dtype_policy.compute_dtype == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(made)
        optimizer.build(trained)
        if self.head_factor != 1.0:
            rates = {"^linear/": self.head_factor}
            made.set_rates(rates, named_variables(classifier))
        return optimizer

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        made = self.optimizer(learning_rate=0.0)
        config = {k: v for k, v in made.get_config().items() if k != "learning_rate"}
        return {
            "fraction": self.fraction,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "rate": self.rate,
            "head_factor": self.head_factor,
            "optimizer": {key: _plain(value) for key, value in config.items()},
            "schedule": "cosine",
            "views": {"area": list(self.area), "flip": 0.5},
            "seed": self.seed,
        }


def copied(encoder: keras.Model, size: int) -> keras.Model:
    """Another encoder of the same kind, precision and weights.

    Args:
        encoder: A built one.
        size: Side of its images in pixels, or length of its recordings.
    """
    config = {**encoder.get_config(), "dtype": encoder.dtype_policy.name}
    copy = type(encoder).from_config(config)
    copy(tf.zeros([1, *example_shape(encoder, size)]), training=False)
    mine = named_variables(copy)
    for name, variable in named_variables(encoder).items():
        mine[name].assign(variable.value)
    return copy


def labelled_part(data: EvaluationData, fraction: float, seed: int) -> sources.Source:
    """A fixed, class-balanced part of train; below its limit all of it.

    Args:
        data: What is evaluated on.
        fraction: Share of its train images, in (0, 1].
        seed: Which ones.

    Raises:
        ValueError: If a class has too few images.
    """
    train = data.train
    labels, classes = train.need_labels("Fine-tuning")
    chosen = pipeline.subset(train.count, data.train_limit)
    if fraction < 1.0:
        each = max(1, round(fraction * len(chosen) / len(classes)))
        known = np.asarray(labels[chosen])
        chosen = chosen[draw(known, len(classes), each, seed)]
    if len(chosen) == train.count:
        return train
    return rows_of(train, chosen, name=f"{train.name} ({len(chosen)} labels)")


def accuracies(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Top-1, and top-5 where there are more than five classes.

    Args:
        logits: `(n, k)`.
        labels: `(n,)` integers.

    Returns:
        `top1` and perhaps `top5`, in [0, 1].
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    right = order == labels[:, None]
    found = {"top1": float(right[:, 0].mean())}
    if logits.shape[1] > 5:
        found["top5"] = float(right[:, :5].any(axis=1).mean())
    return found


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)
