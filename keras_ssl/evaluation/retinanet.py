"""keras-cv's RetinaNet on an encoder's maps.

Lin et al. 2017, https://arxiv.org/abs/1708.02002. Labels, losses and decoding are
keras-cv's own; its feature pyramid and heads have 256 channels and levels made for 512
pixels, and are replaced by such of any width and size.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.evaluation.pyramid import LEVELS, EncoderLevels
from keras_ssl.layers.feature_pyramid import FeaturePyramid

# Boxes are in pixels, `y0, x0, y1, x1`.
FORMAT = "yxyx"
_SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
_RATIOS = (0.5, 1.0, 2.0)
_ANCHORS = len(_SCALES) * len(_RATIOS)
# Share of anchors that are objects, to begin with (paper, section 4.1).
_PRIOR = 0.01
# The paper's 0.05 would leave nothing of a detector that was trained for minutes.
SUREST_LEFT_OUT = 0.02
OVERLAP = 0.5
MOST_FOUND = 100


def retinanet(
    levels: EncoderLevels,
    num_classes: int,
    width: int = 64,
    depth: int = 3,
    anchor: float = 2.0,
    seed: int = 0,
) -> Any:
    """A detector whose losses are there, and whose weights are drawn.

    Args:
        levels: What it sees of an image.
        num_classes: Number of classes.
        width: Channels of the feature pyramid and the heads.
        depth: Convolutions of a head before its last one.
        anchor: Side of the smallest anchors in cells of their level.
        seed: Of the weights.

    Returns:
        A compiled `keras_cv.models.RetinaNet` of images `(n, size, size, 3)` in [0, 1]
        under the key `images`. It has no use for an optimizer.
    """
    # Takes seconds: only who needs it pays.
    import keras_cv

    strides = [levels.stride * 2**i for i in range(LEVELS)]
    while anchor * strides[-1] * 2 <= levels.size:
        strides.append(2 * strides[-1])
    with _float32():
        return _assembled(
            keras_cv, levels, num_classes, strides, width, depth, anchor, seed
        )


def _assembled(
    keras_cv: Any,
    levels: EncoderLevels,
    num_classes: int,
    strides: Sequence[int],
    width: int,
    depth: int,
    anchor: float,
    seed: int,
) -> Any:
    random = np.random.default_rng(seed)
    seeds = [int(number) for number in random.integers(2**31, size=3)]
    images = keras.Input((levels.size, levels.size, 3))
    # keras-cv finds the levels by names of layers.
    named = {k: keras.layers.Identity(name=k)(x) for k, x in levels(images).items()}
    backbone = keras.Model(images, named)
    backbone.pyramid_level_inputs = {name: name for name in named}
    prior = keras.initializers.Constant(-math.log((1 - _PRIOR) / _PRIOR))
    model = keras_cv.models.RetinaNet(
        backbone,
        num_classes,
        FORMAT,
        anchor_generator=keras_cv.layers.AnchorGenerator(
            FORMAT,
            sizes=[anchor * stride for stride in strides],
            scales=list(_SCALES),
            aspect_ratios=list(_RATIOS),
            strides=list(strides),
            clip_boxes=True,
        ),
        prediction_decoder=keras_cv.layers.MultiClassNonMaxSuppression(
            FORMAT,
            from_logits=True,
            iou_threshold=OVERLAP,
            confidence_threshold=SUREST_LEFT_OUT,
            max_detections=MOST_FOUND,
            max_detections_per_class=MOST_FOUND,
        ),
        feature_pyramid=FeaturePyramid(width, len(strides), seeds[0]),
        classification_head=_head(
            width, depth, _ANCHORS * num_classes, prior, seeds[1]
        ),
        box_head=_head(width, depth, _ANCHORS * 4, "zeros", seeds[2]),
    )
    model.compile(box_loss="smoothl1", classification_loss="focal")
    # What counts losses is made at the first call; a step would be traced again.
    empty = tf.zeros([1, levels.size, levels.size, 3])
    nothing = -tf.ones([1, 1, 4]), -tf.ones([1, 1])
    loss(model, empty, *nothing, training=False)
    return model


def _head(width: int, depth: int, channels: int, bias: Any, seed: int) -> keras.Model:
    """Convolutions that all levels share; as keras-cv's heads, but of any width."""
    random = np.random.default_rng(seed)

    def conv(filters: int, **more: Any) -> keras.layers.Conv2D:
        start = keras.initializers.Orthogonal(seed=int(random.integers(2**31)))
        return keras.layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=start, **more
        )

    return keras.Sequential(
        [
            keras.Input((None, None, width)),
            *(conv(width, activation="relu") for _ in range(depth)),
            conv(channels, bias_initializer=bias),
        ]
    )


def loss(
    detector: Any,
    images: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    training: bool = True,
) -> tf.Tensor:
    """What training lowers: focal loss of the classes and smooth L1 of the boxes.

    Args:
        detector: See `retinanet`.
        images: `(n, size, size, 3)` in [0, 1].
        boxes: `(n, m, 4)` in pixels, `y0, x0, y1, x1`; -1 where there is none.
        labels: `(n, m)` class numbers; -1 where there is no box.
        training: Whether batch norms use the batch's statistics.

    Returns:
        Scalar: the sum over the anchors, divided by how many of them are objects.
    """
    predicted = detector({"images": images}, training=training)
    truth = {"boxes": boxes, "classes": tf.cast(labels, tf.float32)}
    return detector.compute_loss(images, truth, predicted, None)


def detect(
    detector: Any, images: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """What a detector finds.

    Args:
        detector: See `retinanet`.
        images: `(n, size, size, 3)` in [0, 1].

    Returns:
        `(n, MOST_FOUND, 4)` boxes in pixels, within the image, `(n, MOST_FOUND)` scores
        in [0, 1] and class numbers, the surest first, and `(n,)` how many of these
        rows are there.
    """
    predicted = detector({"images": images}, training=False)
    found = detector.decode_predictions(predicted, images)
    boxes = tf.clip_by_value(found["boxes"], 0.0, float(images.shape[1]))
    labels = tf.cast(found["classes"], tf.int32)
    return boxes, found["confidence"], labels, found["num_detections"]


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    """What keras-cv makes inside has no precision of its own to give."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
