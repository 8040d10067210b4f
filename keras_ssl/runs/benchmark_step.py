"""Speed of a train step by precision, with layers of ours and of plain Keras.

Both sides have the same topology, method, optimizer and batch; what differs is who
wrote the layers. Steps of all of them alternate in one process, so that a machine
that slows down does so for all.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import distribute, registry
from keras_ssl.encoders.resnet import ResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mlp import MLP
from keras_ssl.methods.base import Method
from keras_ssl.optimizers import SGD
from keras_ssl.schedules import Clock

_SIZE = 32
_PATCH, _WIDTH, _DEPTH, _HEADS = 4, 192, 12, 3
_PROJECTOR = (512, 128)


def rows(
    batch_size: int = 32,
    rounds: int = 5,
    precisions: Sequence[str] = (),
    encoders: Sequence[str] = ("resnet18", "vit_tiny"),
) -> list[dict[str, Any]]:
    """Times SimCLR's train steps on images of 32 px.

    Args:
        batch_size: Images, of two views each.
        rounds: Steps of each that count, after two that do not.
        precisions: Policies; float32 and bfloat16, and float16 on GPUs, by default.
        encoders: `resnet18` (stem of 3x3) and `vit_tiny` (patches of 4 px).

    Returns:
        A row for each encoder, precision and side: `encoder`, `precision`, `layers`
        (`keras_ssl` or `plain Keras`), `images_per_second` and `milliseconds` of the
        median step, `speedup` over plain Keras (the median of the rounds' ratios),
        `weights`, `batch_size`, `rounds` and `device`.

    Raises:
        ValueError: If a number is not positive or an encoder unknown.
    """
    if batch_size < 2 or rounds < 1:
        raise ValueError(
            "batch_size must be at least 2 and rounds at least 1, got "
            f"{batch_size} and {rounds}."
        )
    if unknown := sorted(set(encoders) - set(_ENCODERS)):
        raise ValueError(
            f"encoders must be among {', '.join(_ENCODERS)}; got {unknown}."
        )
    registry.load()
    policies = precisions or _policies()
    before = keras.config.dtype_policy().name
    try:
        timed = [
            _Timed(encoder, policy, side, batch_size)
            for encoder in encoders
            for policy in policies
            for side in _SIDES
        ]
    finally:
        keras.config.set_dtype_policy(before)
    for _ in range(rounds):
        for each in timed:
            each.step()
    found = []
    for plain, ours in zip(timed[::2], timed[1::2], strict=True):
        ratios = [a / b for a, b in zip(plain.seconds, ours.seconds, strict=True)]
        found += [plain.row(1.0), ours.row(statistics.median(ratios))]
    return found


def _policies() -> tuple[str, ...]:
    gpu = ("mixed_float16",) if tf.config.list_logical_devices("GPU") else ()
    return ("float32", "mixed_bfloat16", *gpu)


class _Timed:
    """A method whose step is compiled, and how long its steps took."""

    def __init__(self, encoder: str, policy: str, side: str, batch_size: int) -> None:
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        self.encoder, self.policy, self.side = encoder, policy, side
        self.batch_size = batch_size
        self.method = _method(_ENCODERS[encoder][side](), _HEADS_OF[side]())
        self.batch = _batch(batch_size)
        spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, self.batch)
        self.method.setup(spec, Clock(100, 10))
        self.method.compile(optimizer=SGD(1e-3))
        self.method.optimizer.build(self.method.trainable_variables)
        self.train = tf.function(self.method.train_step, autograph=False)
        self.seconds: list[float] = []
        for _ in range(2):
            self.step()
        self.seconds.clear()

    def step(self) -> None:
        begun = time.perf_counter()
        float(self.train(self.batch)["loss"])
        self.seconds.append(time.perf_counter() - begun)

    def row(self, speedup: float) -> dict[str, Any]:
        seconds = statistics.median(self.seconds)
        return {
            "encoder": self.encoder,
            "precision": self.policy,
            "layers": self.side,
            "images_per_second": round(self.batch_size / seconds, 1),
            "milliseconds": round(1000 * seconds, 1),
            "speedup": round(speedup, 2),
            "weights": sum(
                int(np.prod(v.shape)) for v in self.method.trainable_variables
            ),
            "batch_size": self.batch_size,
            "rounds": len(self.seconds),
            "device": distribute.devices(),
        }


def _method(encoder: keras.Model, projector: keras.layers.Layer) -> Method:
    return registry.get("method", "SimCLR")(encoder, projector, temperature=0.2)


def _batch(count: int) -> dict[str, Any]:
    draw = np.random.default_rng(0).uniform
    views = [draw(size=(count, _SIZE, _SIZE, 3)).astype(np.float32) for _ in range(2)]
    return {
        "views": tuple(tf.constant(view) for view in views),
        "seed": tf.zeros([count, 2], tf.int32),
        "index": tf.range(count, dtype=tf.int64),
    }


def _plain_resnet() -> keras.Model:
    """ResNet-18 with the stem for small images, of Keras's own layers."""

    def conv(x: Any, width: int, size: int, stride: int, relu: bool = True) -> Any:
        if stride > 1 and size > 1:
            x = keras.layers.ZeroPadding2D(size // 2)(x)
        x = keras.layers.Conv2D(
            width,
            size,
            stride,
            padding="valid" if stride > 1 else "same",
            use_bias=False,
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        return keras.layers.ReLU()(x) if relu else x

    images = keras.Input((_SIZE, _SIZE, 3))
    x = conv(keras.layers.Rescaling(4.0, -2.0)(images), 64, 3, 1)
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            shortcut = x if block else conv(x, width, 1, stride, relu=False)
            x = conv(conv(x, width, 3, stride), width, 3, 1, relu=False)
            x = keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(images, x, name="plain_resnet")


class _Token(keras.layers.Layer):
    """Puts a learned token before all others and adds fixed positions."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")
        self.positions = self.add_weight(
            shape=(1, shape[1] + 1, shape[-1]), name="positions", trainable=False
        )

    def call(self, x: Any) -> Any:
        token = keras.ops.tile(self.token, (keras.ops.shape(x)[0], 1, 1))
        return keras.ops.concatenate([token, x], axis=1) + self.positions


def _plain_vit() -> keras.Model:
    """ViT-tiny with patches of 4 px, of Keras's own layers."""

    def norm(x: Any) -> Any:
        return keras.layers.LayerNormalization(epsilon=1e-6)(x)

    images = keras.Input((_SIZE, _SIZE, 3))
    x = keras.layers.Rescaling(4.0, -2.0)(images)
    x = keras.layers.Conv2D(_WIDTH, _PATCH, _PATCH)(x)
    x = _Token()(keras.layers.Reshape((-1, _WIDTH))(x))
    for _ in range(_DEPTH):
        y = norm(x)
        x = x + keras.layers.MultiHeadAttention(_HEADS, _WIDTH // _HEADS)(y, y)
        y = keras.layers.Dense(4 * _WIDTH, activation="gelu")(norm(x))
        x = x + keras.layers.Dense(_WIDTH)(y)
    x = keras.layers.Activation("linear", dtype="float32")(norm(x)[:, 0])
    return keras.Model(images, x, name="plain_vit")


def _plain_projector() -> keras.layers.Layer:
    hidden, out = _PROJECTOR
    return keras.Sequential(
        [
            keras.layers.Dense(hidden, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            keras.layers.ReLU(),
            keras.layers.Dense(out),
        ]
    )


_SIDES = ("plain Keras", "keras_ssl")
_HEADS_OF: dict[str, Callable[[], keras.layers.Layer]] = {
    "plain Keras": _plain_projector,
    "keras_ssl": lambda: MLP(_PROJECTOR),
}
_ENCODERS: dict[str, dict[str, Callable[[], keras.Model]]] = {
    "resnet18": {
        "plain Keras": _plain_resnet,
        "keras_ssl": lambda: ResNet(depth=18, stem="cifar"),
    },
    "vit_tiny": {
        "plain Keras": _plain_vit,
        "keras_ssl": lambda: ViT(_PATCH, _WIDTH, _DEPTH, _HEADS, image_size=_SIZE),
    },
}
