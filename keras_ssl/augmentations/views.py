"""What all policies share: they say the steps of each view, this class renders them."""

import abc
import functools

import tensorflow as tf

from keras_ssl.augmentations.steps import Step
from keras_ssl.core import randomness


class Views(abc.ABC):
    """Renders each image of a batch into several random views.

    Stateless: what an example becomes depends on its pixels and its seed alone, not on
    its batch. A subclass is a frozen dataclass with a `recipes` method; for example

        def recipes(self):
            strong = (RandomResizedCrop(32), Grayscale(0.2), Solarize())
            weak = (RandomResizedCrop(32),)
            return (strong, weak)

    Where height and width are known beforehand a view runs as one XLA program, in less
    than a third of the processor time of TensorFlow's separate ops. It is compiled once
    for each batch size, in about two seconds. Otherwise the ops run one by one, since
    each new size would compile anew.
    """

    @abc.abstractmethod
    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        """The steps of each view. The first step of each must fix the size."""

    @property
    def num_views(self) -> int:
        """How many views an image gets."""
        return len(self.recipes())

    # AutoGraph, which Dataset.map applies, has nothing to convert and takes seconds.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Renders the views.

        Args:
            images: `(n, h, w, 3)` uint8, or floats in [0, 1].
            seeds: `(n, 2)` int32, one seed pair an example.

        Returns:
            `num_views` tensors `(n, size, size, 3)`, float32 in [0, 1].

        Raises:
            ValueError: If images or seeds have another shape or type.
        """
        images, seeds = tf.convert_to_tensor(images), tf.convert_to_tensor(seeds)
        _check(images, seeds)
        known = images.shape[1:].is_fully_defined()
        # The view's number is a tensor: equal recipes share one compiled program.
        return tuple(
            _compiled(steps)(images, seeds, tf.constant(view))
            if known
            else _render(images, seeds, tf.constant(view), steps)
            for view, steps in enumerate(self.recipes())
        )


def _render(
    images: tf.Tensor, seeds: tf.Tensor, view: tf.Tensor, steps: tuple[Step, ...]
) -> tf.Tensor:
    """Renders one view; `view` is the stream of its random numbers."""
    images = tf.cast(images, tf.float32) / (255.0 if images.dtype == tf.uint8 else 1.0)
    draws = [step.draws for step in steps]
    uniforms = tf.split(randomness.uniforms(seeds, view, sum(draws)), draws, axis=1)
    for step, numbers in zip(steps, uniforms, strict=True):
        images = step(images, numbers)
    return images


@functools.cache
def _compiled(
    steps: tuple[Step, ...],
) -> tf.types.experimental.PolymorphicFunction:
    """`_render` of some steps under XLA; equal steps get the same, compiled once."""

    def render(images: tf.Tensor, seeds: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        return _render(images, seeds, view, steps)

    return tf.function(render, jit_compile=True, autograph=False)


def _check(images: tf.Tensor, seeds: tf.Tensor) -> None:
    if images.shape.rank != 4 or images.shape[-1] != 3:
        raise ValueError(
            "Expected a batch of images (n, h, w, 3); one image needs images[None]. "
            f"Received shape: {images.shape}"
        )
    if images.dtype != tf.uint8 and not images.dtype.is_floating:
        raise ValueError(
            "Expected images as uint8, or as floats in [0, 1]. "
            f"Received dtype: {images.dtype.name}"
        )
    if seeds.shape.rank != 2 or seeds.shape[-1] != 2 or seeds.dtype != tf.int32:
        raise ValueError(
            "Expected seeds (n, 2) int32, one pair an example. "
            f"Received: {seeds.dtype.name} of shape {seeds.shape}"
        )
