import functools
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import converters
from keras_ssl.converters import resnet as module
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.resnet import ResNet

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
CASES = ("resnet_basic", "resnet_bottleneck", "simclr_resnet_plain", "simclr_resnet_sk")


def golden(case):
    spec = json.loads((GOLDEN / f"encoder_{case}.json").read_text())
    with np.load(GOLDEN / f"encoder_{case}.npz") as file:
        data = dict(file)
    mark = spec["state_dict_prefix"]
    state = {k[len(mark) :]: v for k, v in data.items() if k.startswith(mark)}
    return spec, data, state


def model(spec, **options):
    """The authors' networks take images as they are."""
    config = spec["config"]
    return ResNet(
        50 if config["block"] == "bottleneck" else 18,
        config["base_width"] / 64,
        variant="simclr" if config["family"] == "simclr_resnet" else "torchvision",
        sk_ratio=config.get("sk_ratio", 0.0),
        blocks=config["layers"],
        mean=(0, 0, 0),
        std=(1, 1, 1),
        **options,
    )


def convert(spec, state, made):
    *_, name = spec["symbol"].split(".")
    return getattr(converters, name)(state, made)


@functools.cache
def weights(case):
    """A filled model's weights; the first test holds them against the reference."""
    spec, _, state = golden(case)
    made = model(spec)
    convert(spec, state, made)
    return made.get_weights()


@pytest.mark.parametrize("case", CASES)
def test_features_and_maps_are_those_of_the_reference(case):
    spec, data, state = golden(case)
    made = model(spec)
    report = convert(spec, state, made)
    counters = [name for name in state if "num_batches" in name]
    assert report.assigned == len(state) - len(counters) == len(made.variables)
    assert list(report.ignored) == sorted(counters)
    images = tf.constant(data["images"])
    got = {"features": made(images, training=False), **made.maps(images)}
    assert sorted(got) == sorted(spec["returns"])
    for name, value in got.items():
        np.testing.assert_allclose(
            value, data[f"out_{name}"], spec["rtol"], spec["atol"], err_msg=name
        )


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_name_or_shape_changes_nothing(case):
    spec, _, state = golden(case)
    made = model(spec)
    module._check(made, made.variant)  # Builds it.
    before = [v.copy() for v in made.get_weights()]
    name = next(k for k in state if k.startswith(("layer2", "group2")))
    for bad in (
        {k: v for k, v in state.items() if k != name},
        state | {f"{name}_2": state[name]},
        state | {name: state[name][..., None]},
    ):
        with pytest.raises(ValueError, match=f"does not fit resnet.*{name}"):
            convert(spec, bad, made)
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    ("here", "others", "left"),
    [
        (
            "state_dict.module.encoder_q.",  # MoCo v2
            ["state_dict.module.encoder_k."],
            {"fc.0.weight": 2, "fc.2.bias": 1},
        ),
        ("module.", [], {"projection_head.0.weight": 2, "prototypes.weight": 2}),
        ("teacher.backbone.", ["student.module.backbone."], {}),  # DINO
        ("module.base_encoder.", ["module.momentum_encoder."], {"fc.0.weight": 2}),
        ("model.backbone.", [], {"fc.weight": 2}),
    ],
)
def test_prefixes_and_heads_of_the_papers(here, others, left):
    spec, _, state = golden("resnet_basic")
    heads = {name: np.zeros((3,) * rank) for name, rank in left.items()}
    arrays = {here + k: v for k, v in (state | heads).items()}
    for other in others:
        arrays |= {other + k: v + 1 for k, v in state.items()}
    arrays |= {"optimizer.state.0.momentum_buffer": np.ones(3)}
    made = model(spec)
    report = convert(spec, arrays, made)
    assert report.prefix == here
    assert set(left) <= set(report.ignored)
    assert len(report.outside) == len(others) * len(state) + 1
    for mine, want in zip(made.get_weights(), weights("resnet_basic"), strict=True):
        np.testing.assert_array_equal(mine, want)


@pytest.mark.parametrize("case", CASES)
def test_the_other_variant_is_refused(case):
    spec, _, state = golden(case)
    other = dict(spec, config=dict(spec["config"]))
    is_simclr = spec["config"]["family"] == "simclr_resnet"
    other["config"]["family"] = "resnet" if is_simclr else "simclr_resnet"
    words = "simclr" if is_simclr else "torchvision"
    with pytest.raises(ValueError, match=f"need ResNet.variant = '{words}'"):
        convert(spec, state, model(other))


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="Expected a ResNet, got Sequential"):
        converters.torchvision_resnet({}, keras.Sequential())


def tf1(state):
    """Names as TensorFlow 1 gave them: by kind, in the order of the golden file."""
    counts, names, found = {}, {}, {}
    for name, value in state.items():
        layer, _, weight = name.rpartition(".")
        kind = "conv2d" if weight == "kernel" else "batch_normalization"
        if layer not in names:
            count = counts[kind] = counts.get(kind, -1) + 1
            names[layer] = f"{kind}_{count}" if count else kind
        found[f"base_model/{names[layer]}/{weight}"] = value
    return found


@pytest.mark.parametrize("case", ["simclr_resnet_plain", "simclr_resnet_sk"])
def test_numbered_names_of_tensorflow_1(case):
    # The golden file lists layers as the authors' code makes them.
    spec, _, state = golden(case)
    numbered = tf1(state)
    extra = {f"{k}/Momentum": v for k, v in numbered.items()}
    extra |= {f"ema_{k}": v for k, v in numbered.items()}
    extra = {k.replace("ema_base", "ema_model/base"): v for k, v in extra.items()}
    extra |= {"head_contrastive/nl_0/dense/kernel": np.ones((3, 2))}
    made = model(spec)
    convert(spec, numbered | extra, made)
    for mine, want in zip(made.get_weights(), weights(case), strict=True):
        np.testing.assert_array_equal(mine, want)
    average = model(spec)
    arrays = numbered | {k: v + 1 for k, v in extra.items()}
    converters.simclr_resnet(arrays, average, "ema_model/base_model/")
    for mine, want in zip(average.get_weights(), weights(case), strict=True):
        np.testing.assert_array_equal(mine, want + 1)


@pytest.mark.parametrize("depth", [34, 50])
@pytest.mark.parametrize("variant", ["torchvision", "simclr"])
def test_every_block_of_a_deep_one_has_a_name_of_its_own(depth, variant):
    made = ResNet(depth, 1 / 16, variant=variant)
    made(keras.KerasTensor((None, 32, 32, 3)))
    paths = named_variables(made)
    if variant == "torchvision":
        names = [module._torch_source(path).names[0] for path in paths]
        assert "layer3.5.bn2.running_var" in names
        assert ("layer1.0.downsample.0.weight" in names) == (depth > 34)
    else:
        names = [module._simclr_name(path) for path in paths]
        assert "group3.block5.bn2.moving_variance" in names
        numbers = dict(module._numbered(names))
        assert len(set(numbers.values())) == len(paths)
        kernels = sum(path.endswith("kernel") for path in paths)
        last = "group4.block2." + ("conv2" if depth == 34 else "conv3")
        assert numbers[f"{last}.kernel"] == f"conv2d_{kernels - 1}/kernel"
        assert numbers["group1.block0.projection.conv.kernel"] == "conv2d_1/kernel"
    assert len(set(names)) == len(paths)
