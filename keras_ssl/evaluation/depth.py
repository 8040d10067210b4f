"""Depth of each place by a linear layer on frozen maps.

Loss and numbers as in BYOL's and others' evaluation on NYU v2 (Laina et al. 2016,
https://arxiv.org/abs/1606.00373), the decoder a linear one as in DINOv2
(https://arxiv.org/abs/2304.07193, section 7.4).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.data import pipeline
from keras_ssl.data.dense_training import Placing
from keras_ssl.evaluation import maps
from keras_ssl.evaluation.data import Encode, EvaluationData
from keras_ssl.evaluation.dense_fit import DenseFit, predictions
from keras_ssl.evaluation.per_image import Outcome, PerImage, Rows, outcome
from keras_ssl.heads.linear_maps import LinearMaps
from keras_ssl.metrics import depth as metrics

# Share of the greatest residual beyond which the loss is quadratic (Laina et al.).
_THRESHOLD = 0.2


@register("evaluation", "depth")
@dataclasses.dataclass(frozen=True)
class Depth(PerImage):
    """Share of pixels whose predicted depth is within a factor of 1.25 of the true one.

    A 1x1 convolution on the encoder's maps, which stay as they are: normalised by
    channel, resized to the finest one, bilinearly, and put together; see
    `heads.linear_maps`. It predicts depth in standard deviations from the mean of
    train; what is nearer or farther than all of train is brought to its bounds.

    Args:
        layers: Names of the encoder's layers; all if None.
        steps: Training steps.
        batch_size: Images in a batch; at most as many as there are.
        rate: Learning rate at the first step, from where it falls by a cosine.
        weight_decay: Factor of the weights added to their gradients.
        seed: Of the order of images, and which ones are mirrored.

    Raises:
        ValueError: If a number is out of range.
    """

    score: ClassVar[str] = "delta1"
    truth: ClassVar[str] = "depth"
    layers: Sequence[str] | None = None
    steps: int = 500
    batch_size: int = 16
    rate: float = 0.05
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._fit()

    def outcome(self, encode: Encode, data: EvaluationData) -> Outcome:
        """Has `delta1`, `delta2`, `delta3`, `rms` and `rel`, and those of a guess.

        They are over all pixels of known depth of all images together, see
        `metrics.depth`; `guess_delta1` and so on are what saying train's median of
        every pixel gives.

        Raises:
            ValueError: If there is no depth, or the encoder has no such maps.
        """
        what = "Depth"
        model = maps.with_maps(encode, what, data.train.kind)
        shapes = maps.chosen(model, data.size, self.layers, what)
        seen = _seen(data, what)
        read = maps.maps(model, list(shapes))
        head = LinearMaps(shapes, 1)
        head.build()

        def predict(images: tf.Tensor, training: bool) -> tf.Tensor:
            return head(read(images), training=training)

        def loss(found: tf.Tensor, depth: tf.Tensor) -> tf.Tensor:
            return berhu(found[..., 0] - (depth - seen.mean) / seen.std, depth > 0)

        def finish(found: tf.Tensor) -> tf.Tensor:
            depth = seen.mean + seen.std * found[..., 0]
            return tf.clip_by_value(depth, seen.least, seen.greatest)

        self._fit()(predict, head.trainable_variables, loss, data, "depth")
        index, sums, guess = [], [], []
        for number, said, depth in predictions(predict, data, "depth", finish):
            index.append(number)
            sums.append(metrics.sums(said, depth))
            guess.append(metrics.sums(np.full_like(depth, seen.median), depth))
        both = np.array([sums, guess])

        def measure(rows: Rows) -> dict[str, float]:
            found, guessed = (metrics.scores(each[rows]) for each in both)
            return found | {f"guess_{k}": v for k, v in guessed.items()}

        return outcome(np.array(index), measure)

    def protocol(self) -> dict[str, Any]:
        """What a result depends on beside the data."""
        return {
            **self._fit().protocol(),
            "layers": "all" if self.layers is None else list(self.layers),
            "features": "maps normalised by channel, resized bilinearly to the finest",
            "regression": f"linear at each place, berHu of {_THRESHOLD}",
        }

    def _fit(self) -> DenseFit:
        return DenseFit(
            "depth",
            self.steps,
            self.batch_size,
            self.rate,
            self.weight_decay,
            Placing(),
            self.seed,
        )


def berhu(residual: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Reversed Huber loss: absolute where small, quadratic beyond a threshold.

    Laina et al. 2016, eq. 1: the threshold is a fifth of the batch's greatest residual.

    Args:
        residual: Predicted less true depth, of any shape.
        known: Where that is known, booleans of the same shape.

    Returns:
        Scalar: the mean over what is known; 0 if nothing is.
    """
    size = tf.where(known, tf.abs(residual), 0.0)
    bound = tf.stop_gradient(_THRESHOLD * tf.reduce_max(size))
    beyond = tf.math.divide_no_nan(size**2 + bound**2, 2.0 * bound)
    losses = tf.where(size <= bound, size, beyond)
    count = tf.reduce_sum(tf.cast(known, losses.dtype))
    return tf.math.divide_no_nan(tf.reduce_sum(losses), count)


class _Seen(NamedTuple):
    """What depth is like in train."""

    mean: float
    std: float
    median: float
    least: float
    greatest: float


def _seen(data: EvaluationData, who: str) -> _Seen:
    """Looks at the depth of up to 1,000 train images, evenly spread."""
    truth = data.train.need_truth(who, "depth")
    asked = pipeline.subset(data.train.count, data.train_limit)
    some = asked[pipeline.subset(len(asked), 1000)]
    read = tf.data.Dataset.from_tensor_slices(some).map(truth.read, tf.data.AUTOTUNE)
    known = []
    for depth in read.ignore_errors().as_numpy_iterator():
        values = depth[depth > 0]
        known.append(values[pipeline.subset(len(values), 1000)])
    values = np.concatenate([np.empty(0, np.float32), *known]).astype(np.float64)
    if not len(values):
        raise ValueError(
            f"Depth is known of no pixel of {data.train.name!r} (split "
            f"{data.train.split!r}), so there is nothing to learn. Was another feature "
            "meant?"
        )
    std = max(float(values.std()), 1e-6 * float(values.mean()))
    ends = float(values.min()), float(values.max())
    return _Seen(float(values.mean()), std, float(np.median(values)), *ends)
