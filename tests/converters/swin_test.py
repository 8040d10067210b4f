import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import converters, ops
from keras_ssl.encoders.swin import Swin
from keras_ssl.encoders.vit import ViT
from tests.converters.reference import PLAIN, assert_golden, assert_refused, case

TABLE = "relative_position_bias_table"


@pytest.fixture(scope="module")
def reference():
    """Specification, arrays and state dict."""
    return case("encoder_swin")


def encoder(config, **options):
    return Swin(
        **{
            "patch_size": config["patch_size"],
            "width": config["embed_dim"],
            "depths": config["depths"],
            "heads": config["num_heads"],
            "window": config["window_size"],
            "mlp_ratio": config["mlp_ratio"],
            "positions": "learned" if config["absolute_position"] else "none",
            "image_size": config["img_size"],
            "patch_norm": config["patch_norm"],
            "epsilon": config["layer_norm_eps"],
            **PLAIN,
            **options,
        }
    )


@pytest.mark.parametrize("prefix", ["", "model.encoder."])
def test_outputs_are_those_of_the_reference(reference, prefix):
    spec, arrays, state = reference
    model = encoder(spec["config"])
    head = {"head.weight": np.ones([5, 48]), "mask_token": np.ones([1, 1, 24])}
    report = converters.swin({prefix + k: v for k, v in (state | head).items()}, model)
    buffers = [k for k in state if k.endswith(("relative_position_index", "attn_mask"))]
    assert report.prefix == prefix
    assert list(report.ignored) == sorted([*buffers, *head])
    assert report.assigned == len(state) - len(buffers) == len(model.variables)
    images = tf.constant(arrays["images"])
    maps = model.maps(images)
    got = {
        "features": model(images),
        "tokens": maps[f"stage{len(model.depths)}"],
        "stage1_output": model.merges[0](maps["stage1"]),
    }
    got = {k: tf.reshape(v, arrays[f"out_{k}"].shape) for k, v in got.items()}
    assert_golden(spec, arrays, got)


def test_buffers_of_the_reference_are_ours(reference):
    _, _, state = reference
    for name, value in state.items():
        if name.endswith("relative_position_index"):
            np.testing.assert_array_equal(ops.relative_position_index((4, 4)), value)
    mask = state["layers.0.blocks.1.attn_mask"]
    np.testing.assert_array_equal(ops.shifted_window_mask((8, 8), 4, 2), mask)


def test_windows_and_positions_of_another_size_are_interpolated(reference):
    spec, _, state = reference
    positions = np.random.default_rng(0).normal(size=[1, 64, 24]).astype("f4")
    state = state | {"absolute_pos_embed": positions}
    model = encoder(spec["config"], window=6, image_size=48, positions="learned")
    converters.swin(state, model)
    table = tf.constant(state[f"layers.1.blocks.0.attn.{TABLE}"])[None]
    want = ops.interpolate_positions(table, (7, 7), (11, 11), class_token=False)[0]
    np.testing.assert_array_equal(model.stages[1][0].relative.table, want)
    want = ops.interpolate_positions(positions, (8, 8), (12, 12), class_token=False)
    np.testing.assert_array_equal(model.position_table, want)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm.weight": None}, "1 missing from it: norm.weight"),
        ({"layers.0.blocks.0.attn.logit_scale": np.ones(2)}, "unexpected in it"),
        ({"layers.0.downsample.norm.bias": np.ones(95)}, r"merge1/norm.*\(96,\)"),
        ({f"layers.0.blocks.0.attn.{TABLE}": np.ones([48, 2])}, "48 positions is not"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_assigned(reference, change, words):
    spec, _, state = reference
    model = encoder(spec["config"])
    assert_refused(converters.swin, state | change, model, words)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="model must be a Swin, got ViT"):
        converters.swin({}, ViT(4, 32, 2, 4, image_size=16))
