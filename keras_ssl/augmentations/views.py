"""What all policies share: they say the steps of each view, this class renders them.

The same views come about in two ways. Images of one size are rendered as a batch, by
calling the views. Images of differing sizes go through `draw`, `boxes`, `begin` and
`finish`: all random numbers at once, the first step of each view image by image on no
more pixels than it needs, and all further steps on batches, where sizes are equal.
"""

import abc
import functools
from collections.abc import Callable

import tensorflow as tf

from keras_ssl.augmentations import crops
from keras_ssl.augmentations.steps import Step, apply
from keras_ssl.core import randomness


class Views(abc.ABC):
    """Renders each image of a batch into several random views.

    Stateless: what an example becomes depends on its pixels and its seed alone, not on
    its batch. A subclass is a frozen dataclass with a `recipes` method; for example

        def recipes(self):
            strong = (RandomResizedCrop(32), Grayscale(0.2), Solarize())
            weak = (RandomResizedCrop(32),)
            return (strong, weak)

    Sizes may differ from view to view, not within one. A first step that is a
    `crops.Crop` is cut straight out of a file; any other gets the whole image.

    Where height and width are known beforehand a view runs as one XLA program, in less
    than a third of the processor time of TensorFlow's separate ops. It is compiled once
    for each batch size, in about two seconds. A call with an unknown size, and
    `render`, run op by op, since each new size would compile anew.
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
        if not images.shape[1:].is_fully_defined():
            return self.render(images, seeds)
        # The view's number is a tensor: equal recipes share one compiled program.
        return tuple(
            _compiled(_render, steps)(images, seeds, tf.constant(view))
            for view, steps in enumerate(self.recipes())
        )

    def render(self, images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Renders the views without compiling; see `__call__`."""
        images, seeds = tf.convert_to_tensor(images), tf.convert_to_tensor(seeds)
        _check(images, seeds)
        return tuple(
            _render(steps, images, seeds, tf.constant(view))
            for view, steps in enumerate(self.recipes())
        )

    @tf.autograph.experimental.do_not_convert
    def draw(self, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The random numbers of each view.

        Args:
            seeds: `(n, 2)` int32.

        Returns:
            `num_views` tensors `(n, draws of the view)` in [0, 1).
        """
        return tuple(
            _draw(steps, seeds, tf.constant(view))
            for view, steps in enumerate(self.recipes())
        )

    @tf.autograph.experimental.do_not_convert
    def boxes(
        self, height: tf.Tensor, width: tf.Tensor, numbers: tuple[tf.Tensor, ...]
    ) -> tf.Tensor:
        """What the first steps need of one image.

        Args:
            height: Of the image, scalar int32, pixels.
            width: The same.
            numbers: One row, `(draws,)`, of each view's random numbers.

        Returns:
            `(num_views, 4)` int32: top, left, bottom, right in pixels.
        """
        # Views that begin alike share one call: that many small ops cost.
        alike: dict[Step, list[int]] = {}
        for view, steps in enumerate(self.recipes()):
            alike.setdefault(steps[0], []).append(view)
        sides = tf.tile(tf.stack([height, width]), [2])
        found: dict[int, tf.Tensor] = {}
        for first, views in alike.items():
            box = tf.tile([[0.0, 0.0, 1.0, 1.0]], [len(views), 1])
            if isinstance(first, crops.Crop):
                rows = tf.stack([numbers[view][: first.draws] for view in views])
                box = first.boxes(height, width, rows)
            pixels = tf.round(box * tf.cast(sides, tf.float32))
            found |= zip(views, tf.unstack(tf.cast(pixels, tf.int32)), strict=True)
        return tf.stack([found[view] for view in sorted(found)])

    @tf.autograph.experimental.do_not_convert
    def begin(
        self, pixels: tf.Tensor, boxes: tf.Tensor, numbers: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        """Takes the first step of each view of one image.

        Args:
            pixels: `(h, w, 3)` uint8: the image, or what holds the boxes.
            boxes: `(num_views, 4)` int32, counted from the pixels' corner.
            numbers: As for `boxes`.

        Returns:
            `num_views` tensors `(size, size, 3)`, float32 in [0, 1].
        """
        return tuple(
            _first(steps[0], crops.part(pixels, box), uniforms)
            for steps, box, uniforms in zip(
                self.recipes(),
                tf.unstack(boxes, self.num_views),
                numbers,
                strict=True,
            )
        )

    @tf.autograph.experimental.do_not_convert
    def finish(
        self, begun: tuple[tf.Tensor, ...], numbers: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        """Takes all steps but the first.

        Args:
            begun: A batch of what `begin` returns, `(n, size, size, 3)` each.
            numbers: What `draw` returned for them.

        Returns:
            The views, as a call returns them.
        """
        return tuple(
            _compiled(_rest, steps)(images, uniforms) if steps[1:] else images
            for steps, images, uniforms in zip(
                self.recipes(), begun, numbers, strict=True
            )
        )


def _render(
    steps: tuple[Step, ...], images: tf.Tensor, seeds: tf.Tensor, view: tf.Tensor
) -> tf.Tensor:
    """Renders one view; `view` is the stream of its random numbers."""
    images = tf.cast(images, tf.float32) / (255.0 if images.dtype == tf.uint8 else 1.0)
    return apply(steps, images, _draw(steps, seeds, view))


def _draw(steps: tuple[Step, ...], seeds: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
    return randomness.uniforms(seeds, view, sum(step.draws for step in steps))


def _first(step: Step, pixels: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Takes the first step on the part of one image that it needs."""
    uniforms = uniforms[: step.draws]
    if isinstance(step, crops.Crop):
        flip = uniforms[-1] < step.flip
        return crops.resize(pixels, step.size, step.method, step.antialias, flip)
    whole = tf.cast(pixels[None], tf.float32) / 255.0
    return step(whole, uniforms[None])[0]


def _rest(steps: tuple[Step, ...], images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    return apply(steps[1:], images, uniforms[:, steps[0].draws :])


@functools.cache
def _compiled(
    function: Callable[..., tf.Tensor], steps: tuple[Step, ...]
) -> tf.types.experimental.PolymorphicFunction:
    """A function of some steps under XLA; equal steps get the same, compiled once.

    A step with `compiles = False` keeps its view out of XLA.
    """
    compiles = all(getattr(step, "compiles", True) for step in steps)

    def call(*tensors: tf.Tensor) -> tf.Tensor:
        return function(steps, *tensors)

    return tf.function(call, jit_compile=compiles, autograph=False)


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
