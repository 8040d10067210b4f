"""Keras' and keras-cv's preprocessing layers as a step whose seeds are the examples'.

Such layers draw from generators of their own, so that what an image becomes depends on
what was drawn before. Here every source of random numbers that a layer holds is
replaced by one that draws from the seed of the example at hand, and images go through
one by one: the same seed gives the same picture in any batch and after a resume.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import randomness

# What such an operation draws or keeps no seed decides.
_STATEFUL = (
    *("Random", "TruncatedNormal", "Multinomial", "Rng", "StatefulStandard"),
    *("StatefulUniform", "StatefulTruncated", "Assign", "PyFunc"),
)
# Layers that are nothing without a batch.
_MIXING = ("MixUp", "CutMix", "FourierMix", "Mosaic")


class _Source:
    """Seeds that follow from the example's and from how many were drawn before."""

    def __init__(self) -> None:
        self._seed: tf.Tensor | None = None
        self._drawn = 0

    @contextlib.contextmanager
    def seeded(self, seed: tf.Tensor) -> Iterator[None]:
        """Draws from `(2,)` int32 for a while."""
        outer, self._seed, self._drawn = (self._seed, self._drawn), seed, 0
        try:
            yield
        finally:
            self._seed, self._drawn = outer

    def next(self) -> tf.Tensor:
        """The next seed, `(2,)` int32."""
        if self._seed is None:
            raise ValueError(
                "This layer draws from the seeds of examples, since it is part of "
                "KerasLayers. Make another one for use elsewhere."
            )
        self._drawn += 1
        bits = tf.bitcast(self._seed, tf.uint32)
        words = randomness.threefry(
            (bits[0], bits[1]),
            (tf.constant(0, tf.uint32), tf.constant(self._drawn, tf.uint32)),
        )
        return tf.bitcast(tf.stack(words), tf.int32)


class _SeedGenerator(keras.random.SeedGenerator):
    """Keras' source of seeds."""

    def __init__(self, source: _Source) -> None:
        super().__init__(seed=0)
        self._source = source

    def next(self, ordered: bool = True) -> tf.Tensor:
        return self._source.next()


class _Generator:
    """What keras-cv uses of `tf.random.Generator`."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def uniform(
        self,
        shape: Any,
        minval: Any = 0,
        maxval: Any = None,
        dtype: Any = tf.float32,
        name: str | None = None,
    ) -> tf.Tensor:
        if maxval is None and tf.as_dtype(dtype).is_floating:
            maxval = 1
        return tf.random.stateless_uniform(
            shape, self._source.next(), minval, maxval, dtype, name
        )

    def normal(
        self,
        shape: Any,
        mean: Any = 0.0,
        stddev: Any = 1.0,
        dtype: Any = tf.float32,
        name: str | None = None,
    ) -> tf.Tensor:
        return tf.random.stateless_normal(
            shape, self._source.next(), mean, stddev, dtype, name
        )


class _Sampler:
    """What keras-cv's factor samplers do."""

    def __init__(self, source: _Source, sampler: Any) -> None:
        self._generator = _Generator(source)
        self._limits = vars(sampler)

    def __call__(self, shape: Any = (), dtype: Any = "float32") -> tf.Tensor:
        has = self._limits
        if "mean" not in has:
            return self._generator.uniform(shape, has["lower"], has["upper"], dtype)
        normal = self._generator.normal(shape, has["mean"], has["stddev"], dtype)
        return tf.clip_by_value(normal, has["min_value"], has["max_value"])

    def get_config(self) -> dict[str, Any]:
        return dict(self._limits)


@dataclasses.dataclass(frozen=True)
class KerasLayers:
    """Applies Keras' or keras-cv's layers to each image, one image at a time.

    The layers are taken over: they draw from the seeds of examples only from now on.
    They run op by op, since many of them don't compile, and so much slower than the
    steps of this package.

    A layer that draws in a way that cannot be seeded is refused: of keras-cv 0.9
    AugMix, RandomApply and RandomCutout with noise, and of either library what mixes
    images of a batch. A layer that draws within a loop of TensorFlow draws the same in
    each round of it.

    Args:
        layers: Layers that map `(h, w, 3)` floats in [0, 1] to such. Where a layer
            has a `value_range` it must be (0, 1).
        size: Side of the images that come in, pixels; None if they differ.

    Raises:
        TypeError: If something is not a layer.
        ValueError: If a layer cannot be seeded, or has another range of values.
    """

    layers: tuple[keras.layers.Layer, ...]
    size: int | None = None

    source: _Source = dataclasses.field(
        default_factory=_Source, init=False, repr=False, compare=False
    )
    traced: Any = dataclasses.field(init=False, repr=False, compare=False)

    draws = 2
    compiles = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        for layer in self.layers:
            _check_layer(layer)
            _adopt(layer, self.source, set())
        traced = self._trace(self.layers)
        object.__setattr__(self, "traced", traced)
        if _unseeded(traced.graph):
            raise ValueError(
                f"Expected layers that can be seeded. Received: {self._culprits()}, "
                "which the seed of an example cannot decide. Leave it out, or take a "
                "layer of Keras or a step of keras_ssl that does the same."
            )

    def __call__(self, images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        # Uniform numbers are multiples of 2^-24: two of them make a seed of 48 bits.
        seeds = tf.cast(uniforms * 2.0**24, tf.int32)
        shape = self.traced.structured_outputs.shape
        return tf.map_fn(
            lambda example: self.traced(*example),
            (images, seeds),
            fn_output_signature=tf.TensorSpec(shape, tf.float32),
        )

    def _one(
        self, layers: tuple[keras.layers.Layer, ...], image: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        with self.source.seeded(seed):
            for layer in layers:
                image = layer(image)
        return tf.clip_by_value(tf.cast(image, tf.float32), 0.0, 1.0)

    def _trace(self, layers: tuple[keras.layers.Layer, ...]) -> Any:
        """The concrete function of layers on one image and one seed."""
        # keras-cv's Equalization has an `if` on a tensor: AutoGraph converts it.
        function = tf.function(lambda image, seed: self._one(layers, image, seed))
        image = tf.TensorSpec((self.size, self.size, 3))
        names = ", ".join(type(layer).__name__ for layer in layers)
        try:
            made = function.get_concrete_function(image, tf.TensorSpec((2,), tf.int32))
        except (ValueError, TypeError, AttributeError, tf.errors.OpError) as error:
            raise ValueError(
                f"Expected layers that take one image (h, w, 3). {names} failed with: "
                f"{str(error).strip()}"
            ) from error
        if made.structured_outputs.shape.rank != 3:
            raise ValueError(
                "Expected layers that return an image (h, w, 3). "
                f"{names} returned the shape {made.structured_outputs.shape}"
            )
        return made

    def _culprits(self) -> str:
        """Names of the layers that draw by themselves, and how."""
        found = {
            type(layer).__name__: _unseeded(self._trace((layer,)).graph)
            for layer in self.layers
        }
        return ", ".join(f"{k} ({', '.join(v)})" for k, v in found.items() if v)


def _check_layer(layer: Any) -> None:
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"Expected a layer of Keras or keras-cv. Received: {layer!r} of type "
            f"{type(layer).__name__}"
        )
    if {kind.__name__ for kind in type(layer).__mro__} & set(_MIXING):
        raise ValueError(
            f"{type(layer).__name__} mixes the images of a batch: an image's view "
            "would depend on its neighbours. Leave it out."
        )
    limits = getattr(layer, "value_range", None)
    if limits is not None and tuple(limits) != (0, 1):
        raise ValueError(
            f"Images are floats in [0, 1]: {type(layer).__name__} needs "
            f"value_range=(0, 1). Received: {tuple(limits)}"
        )


def _adopt(layer: keras.layers.Layer, source: _Source, seen: set[int]) -> None:
    """Replaces what a layer and the layers in it draw from."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    held = vars(layer)
    for name, value in list(held.items()):
        kinds = {kind.__name__ for kind in type(value).__mro__}
        # Past Keras' tracking, which refuses changes once a layer has been used.
        if isinstance(value, keras.random.SeedGenerator):
            held[name] = _SeedGenerator(source)
        elif isinstance(value, (tf.random.Generator, _Generator)):
            held[name] = _Generator(source)
        elif kinds & {"UniformFactorSampler", "NormalFactorSampler"}:
            held[name] = _Sampler(source, value)
        else:
            for part in tf.nest.flatten([value]) if _is_nest(value) else [value]:
                if isinstance(part, keras.layers.Layer):
                    _adopt(part, source, seen)


def _is_nest(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict))


def _unseeded(graph: tf.Graph) -> list[str]:
    """Types of the operations, of inner functions too, that no seed decides."""
    nodes = list(graph.as_graph_def().node)
    for function in graph.as_graph_def().library.function:
        nodes += function.node_def
    return sorted({node.op for node in nodes if node.op.startswith(_STATEFUL)})
