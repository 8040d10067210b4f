"""Views of Keras' and keras-cv's preprocessing layers."""

import dataclasses
import importlib
from typing import Any

import keras

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.keras_layers import KerasLayers
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import did_you_mean, register

_LIBRARIES = ("keras.layers", "keras_cv.layers")


@register("views")
@dataclasses.dataclass(frozen=True)
class KerasLayerViews(Views):
    """Equal views of a random crop, then any preprocessing layers of Keras or keras-cv.

    Stateless as all views are: an image and its seed decide, though the layers have
    generators of their own; see `keras_layers.KerasLayers` for how, and for the few
    layers that are refused. In gin, `keras_layer` makes the layers:

        KerasLayerViews.layers = (@randaugment/keras_layer(),)
        randaugment/keras_layer.name = 'keras_cv.layers.RandAugment'
        randaugment/keras_layer.value_range = (0, 1)

    Args:
        layers: Layers that map `(size, size, 3)` floats in [0, 1] to an image.
        size: Height and width of a view before the layers, pixels.
        count: How many views an image gets, >= 1.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        method: Of resizing, "bicubic" or "bilinear".
        antialias: Whether shrinking averages.

    Raises:
        TypeError: If something is not a layer.
        ValueError: If a number is out of its range, or a layer cannot be seeded.
    """

    layers: tuple[keras.layers.Layer, ...]
    size: int = 32
    count: int = 2
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    method: str = "bicubic"
    antialias: bool = False
    steps: tuple[Step, ...] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        # Made once: the layers are taken over and looked through, which takes seconds.
        steps = (crop, KerasLayers(self.layers, self.size))
        object.__setattr__(self, "steps", steps)

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        return (self.steps,) * self.count


@register("layer")
def keras_layer(name: str, **arguments: Any) -> keras.layers.Layer:
    """A layer of Keras or keras-cv by name, with its arguments.

    Args:
        name: Such as `keras.layers.RandomRotation` or `keras_cv.layers.RandAugment`, or
            what a class of your own is registered as by
            `keras.saving.register_keras_serializable`, such as `mine>Noise`.
        **arguments: What the layer takes.

    Returns:
        The layer.

    Raises:
        ValueError: If there is no such layer, or it does not take the arguments.
    """
    made = _layer_class(name)
    try:
        return made(**arguments)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        raise ValueError(f"{name}({given}) failed: {error}") from error


def _layer_class(name: str) -> type:
    library, _, kind = name.rpartition(".")
    if library in _LIBRARIES:
        # keras-cv takes seconds to import: only who needs it pays.
        module = importlib.import_module(library.partition(".")[0]).layers
        known = {
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, keras.layers.Layer)
        }
        if kind not in known:
            hint = did_you_mean(kind, known)
            raise ValueError(f"{library} has no layer {kind!r}.{hint}")
        return getattr(module, kind)
    registered = keras.saving.get_registered_object(name)
    if isinstance(registered, type) and issubclass(registered, keras.layers.Layer):
        return registered
    raise ValueError(
        f"Expected a layer's name to begin with {' or '.join(_LIBRARIES)}, or to be "
        f"registered with keras.saving. Received: {name!r}"
    )
