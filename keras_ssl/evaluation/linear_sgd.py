"""Linear probe by SGD on augmented images, as the papers of each method train it.

The encoder is frozen and in inference mode; a linear classifier learns from its
features of random crops and is scored on the plain images.
"""

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.augmentations.policies.mae import MAEViews
from keras_ssl.core import checks, console
from keras_ssl.core.registry import register
from keras_ssl.data import pipeline
from keras_ssl.data.rows import rows_of
from keras_ssl.data.sources import Source
from keras_ssl.evaluation.class_tokens import class_tokens
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.per_image import Outcome, PerImage, top1

Batches = Iterable[tuple[tf.Tensor, tf.Tensor]]
_MOMENTUM = 0.9
# Of LARS, as facebookresearch/mae util/lars.py has it.
_TRUST = 0.001
# Of the norm before the head, as facebookresearch/mae main_linprobe.py has it.
_EPSILON, _KEEP = 1e-6, 0.9


@register("evaluation", "linear_sgd")
@dataclasses.dataclass(frozen=True)
class LinearSGD(PerImage):
    """Top-1 of a linear classifier trained by SGD on crops of train.

    One pass over the crops trains a head for each rate. With more than one rate a part
    of train is held out, on whose plain images the rate is chosen; the heads have not
    seen it, and the chosen one is scored on test as it is.

    Args:
        rates: Learning rates for 256 images; they grow with the batch. Each positive.
        batch_size: Crops in a step.
        epochs: Passes over train.
        warmup_epochs: Epochs in which the rate rises from 0, at least 0.
        drops: Epochs after which the rate falls to a tenth, in place of a cosine.
        weight_decay: Factor of the weights added to their gradient, at least 0.
        nesterov: Whether momentum, 0.9, looks ahead.
        lars: Whether the weights' steps are scaled as LARS does.
        norm: Whether features are normalised over the batch first, without parameters.
        init: Standard deviation of the first weights; biases are 0.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        flip: Probability of mirroring.
        class_tokens: Of so many last blocks class tokens are put side by side in the
            place of features, as DINO has them of a ViT-S; 0 for features.
        patches: Whether the mean patch token follows these, as DINO has it of a ViT-B.
        held_out: Share of train held out where there is a choice, in (0, 1).
        seed: Of crops, their order and the first weights.

    Raises:
        ValueError: If an argument is out of range.
    """

    score: ClassVar[str] = "top1"
    rates: Sequence[float] = (0.1,)
    batch_size: int = 256
    epochs: int = 90
    warmup_epochs: float = 0.0
    drops: Sequence[float] = ()
    weight_decay: float = 0.0
    nesterov: bool = True
    lars: bool = False
    norm: bool = False
    init: float = 0.0
    area: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    class_tokens: int = 0
    patches: bool = False
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        checks.positive(batch_size=self.batch_size, epochs=self.epochs)
        checks.not_negative(
            warmup_epochs=self.warmup_epochs,
            weight_decay=self.weight_decay,
            init=self.init,
            class_tokens=self.class_tokens,
        )
        if self.patches and not self.class_tokens:
            raise ValueError("patches follow class tokens: give class_tokens too.")
        if not self.rates or min(self.rates) <= 0:
            raise ValueError(f"rates needs positive numbers, got {self.rates}.")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out must be in (0, 1), got {self.held_out}.")

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `top1` and the `rate` that it was reached with.

        Raises:
            ValueError: If data are recordings, or train has not a whole batch.
        """
        if data.train.kind != "image":
            raise ValueError(
                "linear_sgd learns from crops of images, and data are recordings. "
                "Take --evaluation=linear."
            )
        if self.class_tokens:
            encode = class_tokens(encode, self.class_tokens, self.patches)
        features = data.features(encode)
        fit, held = self._parts(pipeline.subset(data.train.count, data.train_limit))
        steps = self.epochs * pipeline.steps_per_epoch(
            rows_of(data.train, fit), self.batch_size
        )
        batches = self._crops(encode, rows_of(data.train, fit), data.size)
        heads = self.fit(batches, features.train.shape[1], features.num_classes, steps)
        chosen = 0
        if len(held):
            plain = _plain(encode, data, held)
            chosen = int(np.argmax(heads.accuracy(*plain)))
        predicted = heads.classes(features.test)[chosen]
        return top1(predicted, features, {"rate": float(self.rates[chosen])})

    def fit(
        self, batches: Batches, width: int, num_classes: int, steps: int
    ) -> "Heads":
        """Trains a head for each rate.

        Args:
            batches: Features `(b, width)` and labels `(b,)`, at least `steps` times.
            width: Of the features.
            num_classes: Number of classes.
            steps: How many.

        Returns:
            The heads, in the order of the rates.
        """
        heads = Heads(len(self.rates), width, num_classes, self)
        per_epoch, begun = steps / self.epochs, time.monotonic()
        for step, (x, labels) in zip(range(steps), batches, strict=False):
            rate = self.rate(step, steps) * self.batch_size / 256
            heads.step(x, labels, tf.constant(rate, tf.float32))
            done = step + 1
            if int(done / per_epoch) > int(step / per_epoch):
                seconds = time.monotonic() - begun
                console.say(
                    f"linear_sgd: epoch {int(done / per_epoch)} of {self.epochs}, "
                    f"{done * self.batch_size / seconds:,.0f} images/s, "
                    f"{console.duration(seconds / done * (steps - done))} left"
                )
        return heads

    def rate(self, step: int, steps: int) -> np.ndarray:
        """The rates for 256 images at a step, `(rates,)` float32."""
        epoch = step / steps * self.epochs
        if epoch < self.warmup_epochs:
            factor = epoch / self.warmup_epochs
        elif self.drops:
            factor = 0.1 ** sum(epoch >= drop for drop in self.drops)
        else:
            span = self.epochs - self.warmup_epochs
            factor = (1 + math.cos(math.pi * (epoch - self.warmup_epochs) / span)) / 2
        return np.asarray(self.rates, np.float32) * np.float32(factor)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        said = dataclasses.asdict(self)
        if not self.class_tokens:
            del said["class_tokens"], said["patches"]
        lists = {"rates", "drops", "area"}
        return {
            "solver": "SGD",
            "momentum": _MOMENTUM,
            **{k: list(v) if k in lists else v for k, v in said.items()},
        }

    def _parts(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fixed random images to learn from and to choose on."""
        if len(self.rates) == 1:
            return index, index[:0]
        order = np.random.default_rng(0).permutation(index)
        held = max(1, round(self.held_out * len(index)))
        return np.sort(order[held:]), np.sort(order[:held])

    def _crops(
        self, encode: Encode, source: Source, size: int
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Features of random crops and their labels, without end."""
        views = MAEViews(size=size, area=self.area, flip=self.flip)
        labels, _ = source.need_labels("A linear probe")
        for batch in pipeline.training_batches(
            source, views, self.batch_size, self.seed
        ):
            x = tf.cast(encode(batch["views"][0]), tf.float32)
            yield x, tf.constant(labels[batch["index"].numpy()], tf.int32)


class _State(NamedTuple):
    """Variables of the heads: one leading axis for all rates."""

    kernel: tf.Variable
    bias: tf.Variable


class Heads:
    """Linear classifiers that learn from the same features at different rates.

    Args:
        count: How many.
        width: Of the features.
        num_classes: Number of classes.
        settings: How they learn.
    """

    def __init__(
        self, count: int, width: int, num_classes: int, settings: LinearSGD
    ) -> None:
        self.settings = settings
        # The same first weights for all rates.
        drawn = np.random.default_rng(settings.seed).normal(size=(width, num_classes))
        kernel = np.repeat(settings.init * drawn[None], count, axis=0)
        shapes = (kernel.shape, (count, 1, num_classes))
        first = (kernel, np.zeros(shapes[1]))
        self.weights = _State(*(tf.Variable(x, dtype=tf.float32) for x in first))
        self.momenta = _State(*(tf.Variable(tf.zeros(s)) for s in shapes))
        self.mean = tf.Variable(tf.zeros([width]))
        self.variance = tf.Variable(tf.ones([width]))
        # A function of its own: its variables are this instance's.
        self._train = tf.function(self._step, autograph=False, reduce_retracing=True)

    def step(self, x: tf.Tensor, labels: tf.Tensor, rates: tf.Tensor) -> None:
        """One step of all heads on features `(b, width)`, at rates `(count,)`."""
        self._train(x, labels, rates)

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Share of rows that each head classifies right, `(count,)`."""
        return np.mean(self.classes(x) == labels, axis=1)

    def classes(self, x: np.ndarray) -> np.ndarray:
        """The class of each row by each head, `(count, n)`."""
        if self.settings.norm:
            x = (x - self.mean.numpy()) / np.sqrt(self.variance.numpy() + _EPSILON)
        kernel, bias = (v.numpy() for v in self.weights)
        return np.array(
            [np.argmax(x @ k + b, axis=1) for k, b in zip(kernel, bias, strict=True)]
        )

    def _step(self, x: tf.Tensor, labels: tf.Tensor, rates: tf.Tensor) -> None:
        if self.settings.norm:
            x = self._normalized(x)
        logits = tf.einsum("nd,rdc->rnc", x, self.weights.kernel) + self.weights.bias
        one_hot = tf.one_hot(labels, logits.shape[-1])
        error = (tf.nn.softmax(logits) - one_hot) / tf.cast(tf.shape(x)[0], x.dtype)
        slopes = (
            tf.einsum("nd,rnc->rdc", x, error),
            tf.reduce_sum(error, axis=1, keepdims=True),
        )
        for i, slope in enumerate(slopes):
            self._update(i, slope, rates[:, None, None])

    def _update(self, i: int, slope: tf.Tensor, rates: tf.Tensor) -> None:
        """Momentum on weights (0) or biases (1); LARS leaves biases alone."""
        variable, momentum, said = self.weights[i], self.momenta[i], self.settings
        if i == 0 or not said.lars:
            slope += said.weight_decay * variable
        if i == 0 and said.lars:
            size, length = (
                tf.norm(v, axis=[1, 2], keepdims=True) for v in (variable, slope)
            )
            both = (size > 0) & (length > 0)
            slope *= tf.where(both, _TRUST * size / tf.where(both, length, 1.0), 1.0)
        kept = momentum.assign(_MOMENTUM * momentum + slope)
        variable.assign_sub(
            rates * (slope + _MOMENTUM * kept if said.nesterov else kept)
        )

    def _normalized(self, x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, axes=[0])
        for moving, now in ((self.mean, mean), (self.variance, variance)):
            moving.assign(_KEEP * moving + (1 - _KEEP) * now)
        return (x - mean) * tf.math.rsqrt(variance + _EPSILON)


def _plain(
    encode: Encode, data: EvaluationData, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features of plain images of train, and their labels."""
    found = [
        (rows, np.asarray(encode(images), np.float32))
        for rows, images in pipeline.numbered_batches(
            rows_of(data.train, index), data.size, data.batch_size
        )
    ]
    rows, features = map(np.concatenate, zip(*found, strict=True))
    labels, _ = data.train.need_labels("A linear probe")
    return features, np.asarray(labels[index])[rows]
