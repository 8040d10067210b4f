import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import config, tracing
from keras_ssl.encoders.tokens import POSITIONS, STEMS
from keras_ssl.encoders.vit import ViT
from keras_ssl.export import saved_model
from keras_ssl.heads.mae_decoder import MAEDecoder
from keras_ssl.memory.ema import Ema

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
COUNTS = json.loads((GOLDEN / "param_count_vit.json").read_text())["entries"]
SPEC = {"images": tf.TensorSpec([None, 32, 32, 3], tf.float32)}
close = np.testing.assert_allclose


def images(n=2, height=32, width=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n, height, width or height, 3)
    return tf.constant(rng.uniform(size=shape), tf.float32)


def small(**options):
    return ViT(
        **{
            "patch_size": 8,
            "width": 24,
            "depth": 2,
            "heads": 3,
            "image_size": 32,
            **options,
        }
    )


def counts(*layers):
    return tuple(
        sum(int(np.prod(v.shape)) for layer in layers for v in getattr(layer, kind))
        for kind in ("trainable_variables", "non_trainable_variables")
    )


@pytest.fixture
def cheap(monkeypatch):
    """Random numbers for a hundred million weights would take most of the time."""
    for name in ("VarianceScaling", "RandomNormal"):
        monkeypatch.setattr(keras.initializers, name, lambda *_, **__: "zeros")


@pytest.mark.parametrize("case", [c for c in COUNTS if c.startswith("dino")])
def test_parameters_are_counted_as_in_dino(case, cheap):
    want = COUNTS[case]
    encoder = ViT(
        want["patch_size"],
        want["embed_dim"],
        want["depth"],
        want["num_heads"],
        positions="learned",
    )
    encoder.build(None)
    assert encoder.feature_dim == want["embed_dim"]
    assert counts(encoder) == (want["trainable"], want["fixed_parameters"])


def test_parameters_are_counted_as_in_mae(cheap):
    encoder, decoder = ViT(16, 768, 12, 12), MAEDecoder()
    encoder.build(None)
    decoder.build((None, 50, 768))
    alone, whole = COUNTS["mae_encoder_base16"], COUNTS["mae_full_base16"]
    assert counts(encoder) == (alone["trainable"], alone["fixed_parameters"])
    both = counts(encoder, decoder)
    assert both == (whole["trainable"], whole["fixed_parameters"])


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("tiny_cifar", (4, 192, 12, 3, 32)),
        ("tiny", (16, 192, 12, 3, 224)),
        ("small", (16, 384, 12, 6, 224)),
        ("base", (16, 768, 12, 12, 224)),
        ("large", (16, 1024, 24, 16, 224)),
        ("huge", (14, 1280, 32, 16, 224)),
    ],
)
def test_sizes_of_the_papers_have_configurations(name, sizes):
    config.parse(["methods/simclr.gin", f"encoders/vit_{name}.gin"])
    made = config.value("train", "method").encoder
    names = ("patch_size", "width", "depth", "heads", "image_size")
    assert tuple(getattr(made, n) for n in names) == sizes


@pytest.mark.parametrize("positions", POSITIONS)
def test_one_trace_makes_all_variables(positions):
    def masked(batch):
        tokens = encoder.embed(batch["images"], training=True)
        return encoder.encode(tokens[:, ::2], training=True)

    encoder, other = small(positions=positions), small(positions=positions)
    symbol = tracing.make_variables(masked, SPEC)
    assert symbol.shape == (None, 9, 24)
    names = list(tracing.named_variables(encoder))
    other(images())
    encoder(images())
    assert list(tracing.named_variables(encoder)) == names
    assert list(tracing.named_variables(other)) == names
    assert names[0] == "patches/kernel"
    assert {"class_token", "positions", "block2/attention/qkv/kernel"} <= set(names)
    fixed = 0 if positions == "learned" else 1
    assert len(encoder.non_trainable_variables) == fixed


def test_the_parts_make_the_whole():
    encoder, x = small(), images()
    tokens = encoder.encode(encoder.embed(x))
    assert encoder.embed(x).shape == (2, 16, 24)
    assert tokens.shape == (2, 17, 24)
    close(encoder(x), tokens[:, 0])
    maps = encoder.maps(x)
    assert list(maps) == ["block1", "block2"]
    assert {m.shape for m in maps.values()} == {(2, 4, 4, 24)}
    close(tf.reshape(maps["block2"], [2, 16, 24]), tokens[:, 1:])
    mean = small(pooling="mean")
    mean.build(None)
    mean.set_weights(encoder.get_weights())
    close(mean(x), tf.reduce_mean(tokens[:, 1:], 1), 1e-5, 1e-6)
    assert len(mean.get_weights()) == len(encoder.get_weights())


def test_patches_are_embedded_as_by_a_convolution():
    encoder, x = small(positions="learned"), images(2, 16, 24)
    encoder.build(None)
    kernel = tf.reshape(encoder.patches.kernel.value, [8, 8, 3, 24])
    want = tf.nn.conv2d(encoder.normalize(x), kernel, 8, "VALID")
    want = tf.reshape(want, [2, 6, 24]) + encoder.positions_for(16, 24)[:, 1:]
    close(encoder.embed(x), want, 1e-4, 1e-5)


def test_a_stem_of_convolutions_halves_the_sides_and_doubles_the_channels():
    encoder, x = small(stem="conv", patch_size=4, width=32, heads=4), images()
    assert encoder.embed(x).shape == (2, 64, 32)
    shapes = {k: v.shape for k, v in tracing.named_variables(encoder).items()}
    assert shapes["patches/conv1/conv/kernel"] == (3, 3, 3, 8)
    assert shapes["patches/conv2/conv/kernel"] == (3, 3, 8, 16)
    assert shapes["patches/projection/kernel"] == (16, 32)
    assert not any(k.startswith("patches/conv3") for k in shapes)
    # Row by row: what changes below changes the last tokens alone.
    other = tf.concat([x[:, :24], 1 - x[:, 24:]], axis=1)
    moved = np.any(encoder.embed(x) != encoder.embed(other), axis=(0, 2))
    assert not moved[:40].any()
    assert moved[48:].all()


def test_a_stem_of_convolutions_normalises_by_the_batch_in_training_alone():
    encoder, x = small(stem="conv"), images(4)
    before = encoder.embed(x)
    moving = encoder.patches.convs[0].norm.moving_mean
    assert not np.any(moving)
    close(encoder.embed(x[:1])[0], before[0], 1e-5, 1e-6)
    encoder.embed(x, training=True)
    assert np.any(moving)
    encoder.tokens(x, training=True)
    encoder.visible_tokens(x, tf.zeros([4, 2], tf.int32), 0.5, training=True)
    frozen = small(stem="conv", freeze_patches=True)
    frozen.build(None)
    assert not any("patches" in v.path for v in frozen.trainable_variables)


def test_order_of_tokens_matters_through_positions_alone():
    encoder, x = small(), images()
    tokens = encoder.embed(x)
    order = np.random.default_rng(0).permutation(16)
    shuffled = encoder.encode(tf.gather(tokens, order, axis=1))
    whole = encoder.encode(tokens)
    close(shuffled[:, 0], whole[:, 0], 1e-4, 1e-5)
    close(shuffled[:, 1:], tf.gather(whole[:, 1:], order, axis=1), 1e-4, 1e-5)
    assert not np.allclose(encoder(images()), encoder(images()[:, ::-1]), 1e-3)


def test_hidden_tokens_cost_nothing():
    def flops(count):
        function = tf.function(lambda t: encoder.encode(t)).get_concrete_function(
            tf.TensorSpec([8, count, 24])
        )
        return sum(
            int(np.prod(op.outputs[0].shape)) * int(op.inputs[0].shape[-1])
            for op in function.graph.get_operations()
            if "MatMul" in op.type
        )

    encoder = small()
    encoder.build(None)
    assert flops(4) < 0.33 * flops(16)


def test_attention_is_that_of_the_last_block():
    encoder, x = small(), images()
    got = encoder.attention(x)
    assert got.shape == (2, 3, 17, 17)
    assert got.dtype == tf.float32
    close(tf.reduce_sum(got, -1), 1.0, 1e-5)
    seen = []
    last = encoder.blocks[-1]
    original = last.call
    last.call = lambda x, **options: seen.append(x) or original(x, **options)
    encoder(x)
    close(got, last.attention_probabilities(seen[0]), 1e-5, 1e-6)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("size", [(48, 48), (16, 40), (8, 8), (32, 32)])
def test_any_multiple_of_the_patch_size_is_encoded(positions, size):
    encoder, x = small(positions=positions), images(2, *size)
    tokens = size[0] // 8 * size[1] // 8
    assert encoder(x).shape == (2, 24)
    table = encoder.positions_for(*size)
    assert table.shape == (1, 1 + tokens, 24)
    own = encoder.positions_for(32, 32)
    close(table[:, 0], own[:, 0])
    # Interpolated, not made anew: trained coordinates stay where they were.
    offset = 0.1 if positions == "learned" else 0.0
    grid = (size[0] // 8, size[1] // 8)
    close(table, ops.interpolate_positions(own, (4, 4), grid, offset))
    assert encoder.attention(x).shape == (2, 3, 1 + tokens, 1 + tokens)
    assert encoder.maps(x)["block1"].shape == (2, *grid, 24)


def test_fixed_positions_are_those_of_the_references():
    for name, table in (
        ("sincos", ops.sincos_position_embedding_2d(24, 4, class_token=True)),
        ("moco_v3", ops.moco_v3_position_embedding(24, 4)),
    ):
        close(small(positions=name).positions_for(32, 32)[0], table)


def test_images_are_normalised_first():
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.2, 0.4)
    encoder, x = small(mean=mean, std=std), images()
    plain = small(mean=(0, 0, 0), std=(1, 1, 1))
    encoder.build(None), plain.build(None)
    plain.set_weights(encoder.get_weights())
    close(encoder(x), plain((x - mean) / std), 1e-4, 1e-5)


def test_bfloat16_inside_float32_outside():
    plain = small()
    x, want = images(), plain(images())
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = small()
    features = encoder(x)
    assert features.dtype == encoder.attention(x).dtype == tf.float32
    assert encoder.embed(x).dtype == encoder.maps(x)["block2"].dtype == tf.bfloat16
    assert {v.dtype for v in encoder.variables} == {"float32"}
    encoder.set_weights(plain.get_weights())
    close(encoder(x), want, 0.1, 0.1)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("size", [32, 48])
def test_gradients_reach_all_weights(positions, size):
    encoder = small(positions=positions)
    encoder.build(None)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(images(4, size), training=True)[:, :3] ** 3)
    gradients = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    for variable, gradient in zip(encoder.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_compiles_under_xla(precision, stem):
    keras.config.set_dtype_policy(precision)
    encoder, x = small(stem=stem), images()
    want = encoder(x)
    got = tf.function(encoder, jit_compile=True, autograph=False)(x)
    close(got, want, *((1e-4, 1e-5) if precision == "float32" else (0.1, 0.1)))


def test_drop_path_grows_with_depth_and_is_drawn_by_seed():
    encoder, x = small(drop_path=0.8, depth=3), images(16)
    close([b.drop_path for b in encoder.blocks], [0, 0.4, 0.8])
    seeds = tf.random.stateless_uniform([16, 2], [3, 0], None, None, tf.int32)
    plain = encoder(x)
    close(encoder(x, seeds=seeds), plain)
    dropped = encoder(x, training=True, seeds=seeds)
    assert not np.allclose(dropped, plain, 1e-3)
    halves = [
        encoder(x[i : i + 8], training=True, seeds=seeds[i : i + 8]) for i in (0, 8)
    ]
    close(dropped, tf.concat(halves, 0), 1e-4, 1e-5)
    with pytest.raises(ValueError, match="needs a seed for each example"):
        encoder(x, training=True)
    assert not small(drop_path=0.8).non_trainable_variables


@pytest.mark.parametrize("init", ["normal", "xavier", "xavier_qkv"])
def test_weights_start_as_in_the_references(init):
    keras.utils.set_random_seed(0)
    encoder = ViT(8, 192, 1, 3, image_size=64, positions="learned", init=init)
    encoder.build(None)
    values = {k: v.numpy() for k, v in tracing.named_variables(encoder).items()}
    inputs, width = 8 * 8 * 3, 192
    want = {
        "normal": (np.sqrt(1 / inputs / 3), 0.02, 0.02),
        "xavier": (np.sqrt(2 / (inputs + width)), np.sqrt(2 / (4 * width)), 0.02),
        "xavier_qkv": (np.sqrt(2 / (inputs + width)), np.sqrt(1 / width), 1e-6),
    }[init]
    names = ("patches/kernel", "block1/attention/qkv/kernel", "class_token")
    for name, spread in zip(names, want, strict=True):
        assert abs(values[name].std() / spread - 1) < 0.2, name
    close(values["positions"].std(), 0.02, 0.05)
    biases = [v for k, v in values.items() if k.endswith(("bias", "beta"))]
    assert not np.any(np.concatenate(biases))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "positions": "learned",
            "stem": "conv",
            "pooling": "mean",
            "qkv_bias": False,
            "std": (1, 2, 3),
        },
    ],
)
def test_config_round_trip(options):
    encoder, x = small(name="mine", **options), images(2, 16)
    serial = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    again = keras.saving.deserialize_keras_object(serial)
    assert again.get_config() == encoder.get_config()
    encoder(x), again(x)
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(x), encoder(x))


@pytest.mark.parametrize("positions", ["sincos", "learned"])
def test_a_target_network_copies_it(positions):
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = small(positions=positions)
            self.target = Ema([self.encoder], momentum=lambda step: 0.5)

        def call(self, x):
            return self.encoder(x), self.target(x)

    holder, x = Holder(), images()
    tracing.make_variables(lambda batch: holder(batch["images"]), SPEC)
    holder.target.on_built()
    online, target = holder(x)
    np.testing.assert_array_equal(online, target)
    before = holder.encoder.get_weights()
    for variable in holder.encoder.trainable_variables:
        variable.assign_add(tf.ones(variable.shape))
    holder.target.after_step(lambda schedule: schedule(0))
    for old, new, copy in zip(
        before,
        holder.encoder.get_weights(),
        holder.target.copies[0].get_weights(),
        strict=True,
    ):
        close(copy, (old + new) / 2, 1e-5, 1e-5)


def test_an_export_equals_the_call(tmp_path):
    encoder = small(positions="learned", depth=1)
    tracing.make_variables(lambda batch: encoder(batch["images"]), SPEC)
    saved_model.export(encoder, tmp_path / "export", 48, {})
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3)).astype("u1")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["serving_default"](images=tf.constant(pixels))["features"]
    close(got, encoder(tf.constant(pixels, tf.float32) / 255), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(positions="none"), "positions must be one of learned, sincos"),
        (lambda: small(pooling="max"), "pooling must be one of class, mean; got 'max'"),
        (lambda: small(heads=5), "width that its heads share.*width=24.*heads=5"),
        (lambda: small(depth=0), "at least one block.*depth=0"),
        (lambda: small(init="he"), "init must be one of normal"),
        (lambda: small(image_size=30), "vit has patches of 8 px.*got 30 x 30"),
        (lambda: small(stem="deep"), "stem must be one of linear, conv; got 'deep'"),
        (
            lambda: small(stem="conv", patch_size=6, image_size=36),
            "power of 2 .* patch_size=6, width=24",
        ),
        (lambda: small(patch_size=0), "patch_size must be at least 1, got 0"),
        (
            lambda: small(width=6),
            "'sincos' need a multiple of 4 as width, got 6",
        ),
        (lambda: small(mlp_ratio=0), "mlp_ratio must be positive, got 0"),
        (lambda: small(drop_path=1.0), r"drop_path must be in \[0, 1\), got 1.0"),
        (lambda: small()(images(2, 30, 32)), "sides are known and.*; got 30 x 32"),
        (
            lambda: small()(keras.KerasTensor((None, None, None, 3))),
            "are known and multiples of it; got None x None",
        ),
        (
            lambda: small()(tf.zeros([2, 8, 8, 1])),
            r"\(n, h, w, 3\), got \(2, 8, 8, 1\)",
        ),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_hidden_patches_show_a_token_and_their_place_alone():
    encoder, pixels = small(), images()
    mask = tf.constant([[1.0] + [0.0] * 15, [0.0] * 15 + [1.0]])
    token = tf.range(24, dtype=tf.float32)
    plain = encoder.embed(pixels).numpy()
    masked = encoder.embed(pixels, mask=mask, mask_token=token).numpy()
    want = token + encoder.positions_for(32, 32)[0, 1:]
    close(masked[0, 0], want[0], rtol=1e-6)
    close(masked[1, 15], want[15], rtol=1e-6)
    np.testing.assert_array_equal(masked[0, 1:], plain[0, 1:])
    np.testing.assert_array_equal(masked[1, :15], plain[1, :15])


def test_visible_tokens_are_those_of_the_patches_that_are_kept():
    encoder, x = small(), images(3)
    seeds = tf.constant([[5, 1], [6, 1], [7, 1]])
    tokens, mask, restore = encoder.visible_tokens(x, seeds, 0.75)
    assert tokens.shape == (3, 5, 24)
    close(tf.reduce_sum(mask, 1), [12.0] * 3)
    for i in range(3):
        kept = np.argsort(restore[i])[:4]
        assert not np.any(mask.numpy()[i, kept])
        alone = encoder.encode(tf.gather(encoder.embed(x[i : i + 1]), kept, axis=1))
        close(tokens[i], alone[0], 1e-4, 1e-5)
    # An example's own seeds decide what it shows.
    again = encoder.visible_tokens(x[1:2], seeds[1:2], 0.75)[0]
    close(tokens[1], again[0], 1e-4, 1e-5)
    assert not np.array_equal(mask[0], mask[1])
