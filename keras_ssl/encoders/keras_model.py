"""Any Keras model as an encoder: of `keras.applications`, of keras-cv, or your own."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.core.registry import did_you_mean, register
from keras_ssl.encoders.base import Encoder

# What an encoder wants of the makers that take these: no head, nothing downloaded,
# images of any size, normalised by the encoder alone.
_DEFAULTS = {
    "include_top": False,
    "weights": None,
    "input_shape": (None, None, 3),
    "include_preprocessing": False,
    "include_rescaling": False,
}


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class KerasEncoder(Encoder):
    """Wraps a Keras model that maps images to maps `(n, h, w, c)` or vectors `(n, c)`.

    Where the maker takes them, `include_top`, `weights`, `include_preprocessing` and
    `include_rescaling` are off and `input_shape` is of any size, unless `options` say
    otherwise. Images are normalised by `mean` and `std`: for a model that does so
    itself and expects [0, 255], give `mean=(0, 0, 0)` and `std=(1/255, 1/255, 1/255)`.

    Batch norms are Keras's own: not fused, and of a momentum that the model chose.
    Made under several replicas they are synchronised, as ours are; otherwise each
    replica would normalise by its own part of the batch.

    Args:
        model: Dotted name of what makes the model, such as
            `keras.applications.MobileNetV3Small`, `keras_cv.models.ResNetBackbone` or
            a function of your own; or a model, which keeps its weights.
        options: Arguments for the maker.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If the name or an option is unknown, or the model does not map
            images with three channels to one map or vector.
    """

    def __init__(
        self,
        model: str | keras.Model | Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "keras_encoder", **kwargs})
        self.options = dict(options or {})
        found = _in_policy(self.dtype_policy, lambda: _made(model, self.options))
        _check(found)
        if distribute.replicas() > 1:
            _share_statistics(found)
        is_name = isinstance(model, str)
        self.record = model if is_name else keras.saving.serialize_keras_object(found)
        levels = getattr(found, "pyramid_level_inputs", {})
        if levels:
            outputs = {k: found.get_layer(name).output for k, name in levels.items()}
            # Dictionaries of outputs come back sorted, so they are kept as a list.
            self.levels = (*outputs, "last")
            found = keras.Model(found.inputs, [*outputs.values(), *found.outputs])
        else:
            self.levels = ("last",)
        self.inner = found
        self.feature_dim = found.outputs[-1].shape[-1]

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """`last`, and before it a keras-cv backbone's levels `P2`, `P3`, ...

        A vector is a map of one pixel.
        """
        outputs = self.inner(self.normalize(images), training=training)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        return {
            name: x[:, None, None] if len(x.shape) == 2 else x
            for name, x in zip(self.levels, outputs, strict=True)
        }

    def get_config(self) -> dict[str, Any]:
        options = dict(self.options)
        if options.get("weights"):
            # Whoever rebuilds the encoder brings weights, or wants none.
            options["weights"] = None
        return {**super().get_config(), "model": self.record, "options": options}


def _made(model: Any, options: Mapping[str, Any]) -> keras.Model:
    """The model itself, from its record, or from its maker."""
    if isinstance(model, keras.Model):
        return model
    if isinstance(model, Mapping):
        return keras.saving.deserialize_keras_object(dict(model))
    maker = _found(model)
    takes = inspect.signature(maker).parameters
    is_open = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    for name in options:
        if name not in takes and not is_open:
            hint = did_you_mean(name, takes)
            raise ValueError(f"{model} takes no option {name!r}.{hint}")
    defaults = {k: v for k, v in _DEFAULTS.items() if k in takes}
    # JSON knows lists only.
    given = {k: tuple(v) if k == "input_shape" else v for k, v in options.items()}
    return maker(**{**defaults, **given})


def _found(name: str) -> Callable[..., Any]:
    """What a dotted name stands for."""
    first, *rest = name.split(".")
    if not rest:
        raise ValueError(
            f"model={name!r} is no dotted name such as "
            "'keras.applications.MobileNetV3Small'."
        )
    try:
        place = importlib.import_module(first)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"No module named {first!r} for model={name!r}; is it installed, or its "
            "folder on PYTHONPATH?"
        ) from error
    for i, part in enumerate(rest):
        path = ".".join([first, *rest[:i]])
        if not hasattr(place, part):
            _try_import(f"{path}.{part}")
        if not hasattr(place, part):
            names = [n for n in dir(place) if not n.startswith("_")]
            hint = did_you_mean(part, names) if len(names) < 99 else ""
            raise ValueError(f"{path} has no {part!r} (model={name!r}).{hint}")
        place = getattr(place, part)
    if not callable(place):
        raise ValueError(f"model={name!r} is not a class or a function.")
    return place


def _try_import(module: str) -> None:
    """Imports a submodule, which then is an attribute of its package."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # What the module itself lacks is another error.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise


def _in_policy(policy: Any, make: Callable[[], keras.Model]) -> keras.Model:
    """Makes a model whose layers compute in the encoder's precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


def _check(model: Any) -> None:
    """Refuses what cannot be an encoder."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Expected a keras.Model, got {type(model).__name__}.")
    if not getattr(model, "outputs", None):
        raise ValueError(
            f"{model.name} has no symbolic inputs and outputs; build it as a "
            "functional or sequential model, or subclass Encoder."
        )
    shapes = [tuple(x.shape) for x in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        raise ValueError(
            f"{model.name} must take images (n, h, w, 3); it takes {shapes}."
        )
    shapes = [tuple(x.shape) for x in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) not in (2, 4) or shapes[0][-1] is None:
        raise ValueError(
            f"{model.name} must give one map (n, h, w, c) or vector (n, c); it gives "
            f"{shapes}."
        )


def _share_statistics(model: keras.Model) -> None:
    """Lets Keras's batch norms average over replicas.

    With one replica they stay as they are: the shared variance is a difference of
    squares, which loses digits.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
