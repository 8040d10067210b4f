"""Released ResNets: those of PyTorch that go by torchvision's names, and SimCLR's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_ssl.converters import base
from keras_ssl.converters.base import Report, Source
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.resnet import ResidualEncoder

_TORCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Counters and heads: classifiers, projectors, predictors and prototypes.
_TORCH_SPARE = (
    r".*num_batches_tracked$",
    r"(fc|head|projector|projection_head|predictor|prototypes)[._]",
)
_SIMCLR_SPARE = (
    r"(.*/)?head_(contrastive|supervised)/",
    r"(head|projection_head|supervised_head)\.",
    r"global_step$",
)


def torchvision_resnet(
    state_dict: Mapping[str, Any], model: keras.Model, prefix: str | None = None
) -> Report:
    """Fills a ResNet from PyTorch weights that go by torchvision's names.

    torchvision itself, MoCo, SwAV, DINO, Barlow Twins and VICReg release such ones.
    They expect images normalised by ImageNet's mean and deviation: give these to the
    model (gin_configs/encoders/resnet50_torchvision.gin).

    Args:
        state_dict: Names and arrays; nested dictionaries are allowed.
        model: A `ResNet` made with `variant="torchvision"`.
        prefix: What the names begin with, such as `module.encoder_q.`; found if None.

    Returns:
        What was assigned and what was left out.

    Raises:
        TypeError: If the model is no ResNet of ours.
        ValueError: If it is of another variant, or a name, shape or value is wrong;
            nothing is assigned then.
    """
    _check(model, "torchvision")
    sources = {path: _torch_source(path) for path in named_variables(model)}
    arrays = base.flatten(state_dict)
    return base.load(arrays, model, sources, _TORCH_SPARE, "layer4.0.bn2.bias", prefix)


def simclr_resnet(
    state_dict: Mapping[str, Any], model: keras.Model, prefix: str | None = None
) -> Report:
    """Fills a ResNet from weights of SimCLR or SimCLRv2.

    Names are paths such as `group1.block0.conv1.kernel`, or those of the TensorFlow 1
    checkpoints that google-research/simclr released (`base_model/conv2d_1/kernel`),
    which number layers in the order in which they were made. Their images are in
    [0, 1], not normalised (gin_configs/encoders/resnet50_simclr.gin).

    Args:
        state_dict: Names and arrays; kernels are `(h, w, in, out)`.
        model: A `ResNet` made with `variant="simclr"`.
        prefix: What the names begin with; found if None. `ema_model/base_model/` takes
            the average that SimCLRv2's checkpoints hold beside the weights.

    Returns:
        What was assigned and what was left out.

    Raises:
        TypeError: If the model is no ResNet of ours.
        ValueError: If it is of another variant, or a name, shape or value is wrong;
            nothing is assigned then.
    """
    _check(model, "simclr")
    arrays = base.flatten(state_dict)
    paths = {path: _simclr_name(path) for path in named_variables(model)}
    numbered = prefix or "base_model/"
    if f"{numbered}conv2d/kernel" in arrays:
        names = dict(_numbered(list(paths.values())))
        sources = {path: Source((names[name],)) for path, name in paths.items()}
        # Slots of the optimizer stand beside the weights.
        spare = (*_SIMCLR_SPARE, r".*/(Momentum|LARSOptimizer)(_1)?$")
        return base.load(arrays, model, sources, spare, prefix=numbered)
    sources = {path: Source((name,)) for path, name in paths.items()}
    marker = "group4.block0.bn3.beta"
    if isinstance(model, ResidualEncoder) and not model.stages[0][0].bottleneck:
        marker = "group4.block0.bn2.beta"
    return base.load(arrays, model, sources, _SIMCLR_SPARE, marker, prefix)


def _check(model: keras.Model, variant: str) -> None:
    """Builds the model where it is not; refuses what the weights would not mean."""
    if not isinstance(model, ResidualEncoder):
        raise TypeError(f"Expected a ResNet, got {type(model).__name__}.")
    if model.variant != variant:
        # Shapes of the deep ones would fit, and features would be slightly wrong.
        raise ValueError(
            f"These weights need ResNet.variant = {variant!r}; this one is of variant "
            f"{model.variant!r}, which pads its pooling in another way."
        )
    if not model.variables:
        model(keras.KerasTensor((None, 64, 64, 3)))


def _torch_source(path: str) -> Source:
    """`stage1_block2/conv3/norm/gamma` is `layer1.1.bn3.weight`."""
    *place, kind, weight = path.split("/")
    where = ""
    if found := re.fullmatch(r"stage(\d+)_block(\d+)", place[0]):
        where = f"layer{found[1]}.{int(found[2]) - 1}."
    part = place[-1].removeprefix("conv") if where else "1"
    if part == "shortcut":
        name = f"{where}downsample.{0 if kind == 'conv' else 1}"
    else:
        name = f"{where}{'conv' if kind == 'conv' else 'bn'}{part}"
    if kind == "conv":
        return Source((f"{name}.weight",), base.conv_kernel)
    return Source((f"{name}.{_TORCH_NORM[weight]}",))


def _simclr_name(path: str) -> str:
    """`stage1_block2/conv3/norm/gamma` is `group1.block1.bn3.gamma`."""
    *place, kind, weight = path.split("/")
    where = "stem."
    if found := re.fullmatch(r"stage(\d+)_block(\d+)", place[0]):
        where = f"group{found[1]}.block{int(found[2]) - 1}."
    part = place[-1]
    kind = {"conv": "conv", "norm": "bn"}.get(kind, kind)
    if part == "shortcut":
        return f"{where}projection.{kind}.{weight}"
    if kind == "excite":
        return f"{where}sk.excite.{weight}"
    if part == "streams":
        return f"{where}sk.{kind}.{weight}"
    if part == "squeeze":
        return f"{where}sk.squeeze{'' if kind == 'conv' else '_bn'}.{weight}"
    return f"{where}{kind}{part.removeprefix('conv') if part != 'stem' else 1}.{weight}"


def _numbered(names: list[str]) -> Iterator[tuple[str, str]]:
    """Names of structure and their TensorFlow 1 names, below `base_model/`."""
    counts = {"conv2d": 0, "batch_normalization": 0}
    seen: dict[str, str] = {}
    for name in sorted(names, key=_made):
        layer, _, weight = name.rpartition(".")
        if layer not in seen:
            kind = "conv2d" if weight == "kernel" else "batch_normalization"
            seen[layer] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        yield name, f"{seen[layer]}/{weight}"


def _made(name: str) -> tuple[Any, ...]:
    """Sorts names as the layers were made: a block begins with its projection."""
    found = re.match(r"group(\d+)\.block(\d+)\.(\w+)", name)
    if not found:
        return (0, 0, name)
    order = ["projection", "conv1", "bn1", "conv2", "bn2", "sk", "conv3", "bn3"]
    inner = ["conv", "bn", "squeeze", "squeeze_bn", "excite"]
    part = name.split(".")[3]
    rank = inner.index(part) if part in inner else 0
    return (int(found[1]), int(found[2]), order.index(found[3]), rank)
