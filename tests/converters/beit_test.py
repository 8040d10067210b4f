import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import converters, ops
from keras_ssl.encoders.beit import BEiT
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mlp import MLP
from tests.converters.reference import PLAIN, assert_golden, assert_refused, case

TABLE = "relative_position_bias_table"
SHARED = f"rel_pos_bias.{TABLE}"


def encoder(config, **options):
    pooling = "mean" if config.get("pooling", "").startswith("mean") else "class"
    return BEiT(
        **{
            "patch_size": config["patch_size"],
            "width": config["embed_dim"],
            "depth": config["depth"],
            "heads": config["num_heads"],
            "mlp_ratio": config["mlp_ratio"],
            "relative": config["relative_position_bias"],
            "positions": "learned" if config["use_absolute_position"] else "none",
            "pooling": pooling,
            "image_size": config["img_size"],
            "layer_scale": 0.1 if config["layer_scale"] else None,
            "epsilon": config["layer_norm_eps"],
            **PLAIN,
            **options,
        }
    )


class Masked(keras.Model):
    """What BEiT trains: hidden patches show a token, and a head names their codes."""

    def __init__(self, config, **options):
        super().__init__()
        self.encoder = encoder(config, **options)
        self.head = MLP((config["vocab_size"],))
        self.mask_token = self.add_weight(
            name="mask_token", shape=(config["embed_dim"],)
        )

    def call(self, images, mask):
        token = self.mask_token.value
        tokens = self.encoder.tokens(images, mask=mask, mask_token=token)
        return self.head(tokens[:, 1:])


def masked(**options):
    spec, arrays, _ = case("encoder_beit_mim")
    model = Masked(spec["config"], **options)
    model(tf.constant(arrays["images"]), tf.constant(arrays["mask"]))
    return model


@pytest.mark.parametrize("prefix", ["", "module."])
def test_fine_tuned(prefix):
    spec, arrays, state = case("encoder_beit")
    model = encoder(spec["config"])
    report = converters.beit({prefix + k: v for k, v in state.items()}, model)
    buffers = [name for name in state if name.endswith("index")]
    assert report.prefix == prefix
    assert list(report.ignored) == sorted(buffers)
    assert report.assigned == len(state) - len(buffers) == len(model.variables)
    images = tf.constant(arrays["images"])
    got = {
        "features": model(images),
        "block_tokens": tf.stack(model.block_tokens(images)),
    }
    assert_golden(spec, arrays, got)


def test_pretrained_with_its_head():
    spec, arrays, state = case("encoder_beit_mim")
    model = masked()
    report = converters.beit({"model": state, "epoch": 800}, model)
    assert report.prefix == "model."
    assert report.assigned == len(state) - 1
    assert report.ignored == ("rel_pos_bias.relative_position_index",)
    got = model(*(tf.constant(arrays[name]) for name in spec["args"]))
    assert_golden(spec, arrays, {"logits": got})


def test_pretrained_alone():
    spec, arrays, state = case("encoder_beit_mim")
    alone, whole = encoder(spec["config"]), masked()
    report = converters.beit(state, alone)
    converters.beit(state, whole)
    left = {"lm_head.bias", "lm_head.weight", "mask_token"}
    assert left < set(report.ignored)
    images = tf.constant(arrays["images"])
    np.testing.assert_array_equal(alone(images), whole.encoder(images))


def test_shared_biases_go_to_each_block_and_a_norm_is_found():
    spec, arrays, state = case("encoder_beit_mim")
    shared = encoder(spec["config"])
    converters.beit(state, shared)
    each = encoder(spec["config"], relative="per_block", pooling="mean")
    converters.beit(state, each)
    images = tf.constant(arrays["images"])
    for one, other in zip(
        shared.block_tokens(images), each.block_tokens(images), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(each.norm.gamma, state["norm.weight"])
    spec, _, state = case("encoder_beit")
    with pytest.raises(ValueError, match=rf"missing from it: {SHARED}"):
        converters.beit(state, encoder(spec["config"], relative="shared"))


def test_another_image_size_is_interpolated():
    spec, arrays, state = case("encoder_beit_mim")
    model, own = encoder(spec["config"], image_size=24), encoder(spec["config"])
    converters.beit(state, model)
    converters.beit(state, own)
    table = tf.constant(state[SHARED])
    want = ops.resize_relative_positions(table, (4, 4), (6, 6), class_token=True)
    np.testing.assert_array_equal(model.shared_bias.table, want)
    want = ops.interpolate_positions(tf.constant(state["pos_embed"]), (4, 4), (6, 6))
    np.testing.assert_array_equal(model.position_table, want)
    large = tf.image.resize(arrays["images"], [24, 24])
    np.testing.assert_allclose(own(large), model(large), 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks.1.gamma_2": None}, "1 missing from it: blocks.1.gamma_2"),
        ({"blocks.0.attn.k_bias": np.ones(32)}, "unexpected in it: blocks.0.attn.k"),
        ({"fc_norm.bias": np.ones(31)}, r"fc_norm.bias .*norm/beta.*\(32,\)"),
        ({f"blocks.0.attn.{TABLE}": np.ones([51, 4])}, "51 biases is not of 3 x 3"),
        ({f"blocks.0.attn.{TABLE}": np.ones([52, 3])}, r"block1/rel.*\(52, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_assigned(change, words):
    spec, _, state = case("encoder_beit")
    model = encoder(spec["config"])
    assert_refused(converters.beit, state | change, model, words)


def test_other_models_and_biases_are_refused():
    spec, _, state = case("encoder_beit")
    with pytest.raises(ValueError, match=r"unexpected in it: blocks\.0\.attn\.q_bias"):
        converters.beit(state, encoder(spec["config"], qkv_bias=False))
    with pytest.raises(ValueError, match=r"unexpected in it: blocks\.0\.gamma_1"):
        converters.beit(state, encoder(spec["config"], layer_scale=None))
    with pytest.raises(TypeError, match=r"must be a BEiT, or have a BEiT.*got ViT"):
        converters.beit(state, ViT(4, 32, 2, 4, image_size=16))
