import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import converters, losses, ops
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.heads.mae_decoder import MAEDecoder
from tests.converters.reference import PLAIN, assert_golden, assert_refused, case


def dino(**options):
    sizes = case("encoder_dino_vit")[0]["config"]
    return ViT(
        **{
            "patch_size": sizes["patch_size"],
            "width": sizes["embed_dim"],
            "depth": sizes["depth"],
            "heads": sizes["num_heads"],
            "image_size": sizes["img_size"],
            "positions": "learned",
            **PLAIN,
            **options,
        }
    )


class Masked(keras.Model):
    """A masked autoencoder with the noise of its masks given."""

    def __init__(self, **options):
        super().__init__()
        sizes = case("encoder_mae")[0]["config"]
        shared = {"patch_size": sizes["patch_size"], "image_size": sizes["img_size"]}
        self.ratio = sizes["mask_ratio"]
        self.encoder = ViT(
            **{
                "width": sizes["embed_dim"],
                "depth": sizes["depth"],
                "heads": sizes["num_heads"],
                **shared,
                **PLAIN,
                **options,
            }
        )
        self.decoder = MAEDecoder(
            sizes["decoder_embed_dim"],
            sizes["decoder_depth"],
            sizes["decoder_num_heads"],
            **shared,
        )

    def call(self, images, noise):
        keep, mask, restore = ops.random_masking_from_noise(noise, self.ratio)
        tokens = tf.gather(self.encoder.embed(images), keep, axis=1, batch_dims=1)
        latent = self.encoder.encode(tokens)
        prediction = self.decoder(latent, restore)
        return {
            "latent": latent,
            "prediction": prediction,
            "mask": mask,
            "loss": losses.mae(
                prediction, images, mask, self.decoder.patch_size, norm_pix_loss=False
            ),
            "encoder_tokens": self.encoder.encode(self.encoder.embed(images)),
        }


def masked(**options):
    _, arrays, _ = case("encoder_mae")
    model = Masked(**options)
    model(tf.constant(arrays["images"]), tf.constant(arrays["noise"]))
    return model


@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_dino(prefix):
    spec, arrays, state = case("encoder_dino_vit")
    model = dino()
    state = {f"{prefix}{k}": v for k, v in state.items()}
    report = converters.dino_vit(state, model)
    assert (report.prefix, report.ignored, report.assigned) == (prefix, (), 30)
    images, large = (tf.constant(arrays[name]) for name in spec["args"])
    got = {
        "features": model(images),
        "tokens": model.encode(model.embed(images)),
        "attention": model.attention(images),
        "features_large": model(large),
        "interpolated_position_embedding": model.positions_for(*large.shape[1:3]),
    }
    assert_golden(spec, arrays, got)


def test_mae():
    spec, arrays, state = case("encoder_mae")
    model = masked()
    report = converters.mae(state, model)
    assert (report.assigned, report.ignored) == (len(state), ())
    got = model(*(tf.constant(arrays[name]) for name in spec["args"]))
    assert_golden(spec, arrays, got)


def test_the_encoder_of_mae_alone():
    _, arrays, state = case("encoder_mae")
    alone = Masked().encoder
    state = {f"model.{k}": v for k, v in state.items()}
    report = converters.mae(state, alone)
    assert report.prefix == "model."
    assert all(n.startswith(("decoder_", "mask_token")) for n in report.ignored)
    assert len(report.ignored) + report.assigned == len(state)
    got = alone.encode(alone.embed(tf.constant(arrays["images"])))
    np.testing.assert_allclose(got, arrays["out_encoder_tokens"], 2e-4, 2e-5)


def test_of_a_full_checkpoint_the_teacher_is_taken_and_heads_are_left_out():
    _, arrays, state = case("encoder_dino_vit")
    model = dino()
    both = {f"teacher.backbone.{k}": v for k, v in state.items()}
    both |= {f"student.module.backbone.{k}": v + 1 for k, v in state.items()}
    both["teacher.head.mlp.0.weight"] = np.ones([3, 48])
    report = converters.dino_vit(both, model)
    assert report.prefix == "teacher.backbone."
    assert "teacher.head.mlp.0.weight" in report.outside
    got = model(tf.constant(arrays["images"]))
    np.testing.assert_allclose(got, arrays["out_features"], 2e-4, 2e-5)
    report = converters.dino_vit({**state, "head.0.weight": np.ones(3)}, model)
    assert report.ignored == ("head.0.weight",)


def test_positions_of_another_image_size_are_interpolated():
    _, arrays, state = case("encoder_dino_vit")
    model = dino(image_size=48)
    converters.dino_vit(state, model)
    want = arrays["out_interpolated_position_embedding"]
    np.testing.assert_allclose(model.positions_for(48, 48), want, 2e-4, 2e-5)
    got = model(tf.constant(arrays["images_large"]))
    np.testing.assert_allclose(got, arrays["out_features_large"], 2e-4, 2e-5)
    _, _, state = case("encoder_mae")
    model = masked(image_size=24).encoder
    converters.mae(state, model)
    own = tf.constant(state["pos_embed"])
    want = ops.interpolate_positions(own, (4, 4), (6, 6))
    np.testing.assert_allclose(model.positions_for(24, 24), want, 1e-5, 1e-6)


def test_names_of_moco_v3():
    _, _, state = case("encoder_dino_vit")
    table = ops.moco_v3_position_embedding(48, 4).numpy()[None]
    state = {**state, "pos_embed": table, "head.0.weight": np.ones([4, 48])}
    state = {f"module.base_encoder.{k}": v for k, v in state.items()}
    state |= {k.replace("base", "momentum"): v + 1 for k, v in state.items()}
    report = converters.dino_vit(state, dino(positions="moco_v3"))
    assert report.prefix == "module.base_encoder."
    assert report.ignored == ("head.0.weight",)
    with pytest.raises(ValueError, match="not the fixed positions that the encoder"):
        converters.dino_vit(state, dino(positions="sincos"))


def test_no_bias_where_the_encoder_has_none():
    _, _, state = case("encoder_dino_vit")
    bare = {k: v for k, v in state.items() if not k.endswith("qkv.bias")}
    assert converters.dino_vit(bare, dino(qkv_bias=False)).assigned == 28
    with pytest.raises(ValueError, match=r"2 missing from it: blocks\.0\.attn"):
        converters.dino_vit(bare, dino())
    with pytest.raises(ValueError, match=r"2 unexpected in it: blocks\.0\.attn"):
        converters.dino_vit(state, dino(qkv_bias=False))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm.weight": None}, "1 missing from it: norm.weight"),
        ({"blocks.2.norm1.weight": np.ones(48)}, "unexpected in it: blocks.2.norm1"),
        ({"norm.bias": np.ones(47)}, r"norm.bias \[\(47,\)\] for norm/beta.*\(48,\)"),
        ({"pos_embed": np.ones([1, 15, 48])}, "pos_embed .*15 positions is not of"),
        ({"patch_embed.proj.weight": np.ones([48, 3, 4, 4])}, "patches/kernel"),
        ({"norm.bias": np.full(48, np.nan)}, "norm.bias.*not finite"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_assigned(change, words):
    state = case("encoder_dino_vit")[2] | change
    assert_refused(converters.dino_vit, state, dino(), words)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="model must be a ViT, got SmallResNet"):
        converters.dino_vit({}, SmallResNet())
    with pytest.raises(TypeError, match="or have a ViT as encoder and an MAEDecoder"):
        converters.mae({}, SmallResNet())
