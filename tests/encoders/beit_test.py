import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import config, tracing
from keras_ssl.encoders.beit import RELATIVE, BEiT
from keras_ssl.export import saved_model
from keras_ssl.heads.mlp import MLP

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
COUNTS = json.loads((GOLDEN / "param_count_swin_beit.json").read_text())["entries"]
SPEC = {"images": tf.TensorSpec([None, 32, 32, 3], tf.float32)}
close = np.testing.assert_allclose


def images(n=2, height=32, width=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n, height, width or height, 3)
    return tf.constant(rng.uniform(size=shape), tf.float32)


def small(**options):
    sizes = {"patch_size": 8, "width": 24, "depth": 2, "heads": 3, "image_size": 32}
    # Fresh branches are so small that hardly anything would make a difference.
    strong = {"init": "xavier", "layer_scale": 1.0}
    return BEiT(**{**sizes, **strong, **options})


def randomised(encoder):
    """Biases start at 0, where they could not be told from none."""
    if not encoder.built:
        encoder.build(None)
    rng = np.random.default_rng(1)
    for path, variable in tracing.named_variables(encoder).items():
        if path.endswith(("table", "bias")):
            variable.assign(rng.normal(size=variable.shape))
    return encoder


def test_parameters_are_counted_as_in_the_reference(monkeypatch):
    monkeypatch.setattr(keras.initializers, "RandomNormal", lambda *_, **__: "zeros")
    encoder, head = BEiT(16, 768, 12, 12), MLP((8192,))
    encoder.build(None)
    head.build((None, 768))
    found = encoder.count_params() + head.count_params() + 768  # And a mask token.
    assert found == COUNTS["beit_base_patch16_mim"]["trainable"]
    assert not encoder.non_trainable_variables


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("tiny_cifar", (4, 192, 12, 3, 32)),
        ("base", (16, 768, 12, 12, 224)),
        ("base_fine_tuned", (16, 768, 12, 12, 224)),
        ("large", (16, 1024, 24, 16, 224)),
    ],
)
def test_sizes_of_the_papers_have_configurations(name, sizes):
    config.parse(["methods/simclr.gin", f"encoders/beit_{name}.gin"])
    made = config.value("train", "method").encoder
    names = ("patch_size", "width", "depth", "heads", "image_size")
    assert tuple(getattr(made, n) for n in names) == sizes


@pytest.mark.parametrize("relative", RELATIVE)
@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_features_are_pooled_and_normed(relative, pooling):
    encoder, x = randomised(small(relative=relative, pooling=pooling)), images()
    last = encoder.block_tokens(x)[-1]
    patches = tf.reduce_mean(last[:, 1:], axis=1)
    want = encoder.norm(last[:, 0] if pooling == "class" else patches)
    close(encoder(x), want, 1e-5, 1e-6)
    assert list(encoder.maps(x)) == ["block1", "block2"]
    close(encoder.maps(x)["block1"][0, 0, 0], encoder.block_tokens(x)[0][0, 1])
    close(tf.reduce_sum(encoder.attention(x), -1), 1.0, 1e-5)


@pytest.mark.parametrize("relative", ["shared", "per_block"])
def test_places_are_told_by_biases_alone(relative):
    encoder, x = randomised(small(relative=relative)), images()
    blind = small(relative="none")
    assert "positions" not in tracing.named_variables(encoder)
    turned = x[:, ::-1, ::-1]
    order = np.arange(16)[::-1]
    # Without biases the order of patches makes no difference: turn each one back.
    patches = tf.gather(ops.patchify(x, 8), order, axis=1)
    shuffled = ops.unpatchify(patches, 8)
    close(blind(shuffled), blind(x), 1e-4, 1e-5)
    assert not np.allclose(encoder(shuffled), encoder(x), 1e-2)
    assert not np.allclose(encoder(turned), encoder(x), 1e-2)


def test_attention_adds_the_bias_of_its_block():
    encoder, x = randomised(small(relative="per_block", depth=1)), images()
    (block,) = encoder.blocks
    tokens = block.norm1(encoder.with_class_token(encoder.embed(x)))
    q, k, _ = block.attention._split(tokens)
    scores = tf.matmul(q, k, transpose_b=True).numpy()
    table, index = block.relative.table.numpy(), ops.relative_position_index((4, 4))
    scores[:, :, 1:, 1:] += table[index].transpose(2, 0, 1)
    scores[:, :, 0, 1:] += table[-3][:, None]
    scores[:, :, 1:, 0] += table[-2][:, None]
    scores[:, :, 0, 0] += table[-1]
    close(encoder.attention(x), tf.nn.softmax(scores), 1e-4, 1e-6)


@pytest.mark.parametrize("size", [(48, 48), (16, 40), (8, 8)])
def test_any_multiple_of_the_patch_size_is_encoded(size):
    grid = (size[0] // 8, size[1] // 8)
    encoder = randomised(small(positions="learned"))
    x = images(2, *size)
    tokens = 1 + grid[0] * grid[1]
    table = ops.resize_relative_positions(
        tf.constant(encoder.shared_bias.table.numpy()), (4, 4), grid, class_token=True
    )
    index = ops.relative_position_index(grid, class_token=True)
    want = table.numpy()[index].transpose(2, 0, 1)[None]
    close(encoder.biases(grid)[0], want, 1e-6, 1e-6)
    assert encoder.attention(x).shape == (2, 3, tokens, tokens)
    assert encoder.maps(x)["block2"].shape == (2, *grid, 24)
    assert encoder(x).shape == (2, 24)


def test_hidden_patches_show_a_token_alone():
    encoder, x = randomised(small()), images()
    mask = tf.constant([[1.0] + [0.0] * 15, [0.0] * 15 + [1.0]])
    token = tf.range(24, dtype=tf.float32)
    tokens = encoder.embed(x, mask=mask, mask_token=token)
    close(tokens[0, 0], token)
    close(tokens[1, 15], token)
    close(tokens[0, 1:], encoder.embed(x)[0, 1:])
    got = encoder.tokens(x, mask=mask, mask_token=token)
    changed = tf.concat([1 - x[:, :8, :8], x[:, :8, 8:]], axis=2)
    changed = tf.concat([changed, x[:, 8:]], axis=1)
    again = encoder.tokens(changed, mask=mask, mask_token=token)
    close(again[0], got[0], 1e-5, 1e-6)
    assert not np.allclose(again[1], got[1], 1e-3)


def test_mixed_precision_and_gradients_of_all_weights():
    plain = randomised(small(relative="per_block", positions="learned"))
    x, want = images(), plain(images())
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = small(relative="per_block", positions="learned")
    assert encoder(x).dtype == encoder.attention(x).dtype == tf.float32
    assert encoder.maps(x)["block2"].dtype == tf.bfloat16
    assert {v.dtype for v in encoder.variables} == {"float32"}
    assert encoder.biases((4, 4))[0].dtype == tf.float32
    encoder.set_weights(plain.get_weights())
    close(encoder(x), want, 0.1, 0.1)
    keras.config.set_dtype_policy("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(plain(x)[:, :3] ** 3)
    gradients = tape.gradient(loss, [v.value for v in plain.trainable_variables])
    for variable, gradient in zip(plain.trainable_variables, gradients, strict=True):
        # Dense: clipping and optimisers of ours take no slices.
        assert isinstance(gradient, tf.Tensor), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.slow
def test_compiles_under_xla():
    encoder, x = randomised(small()), images()
    got = tf.function(encoder, jit_compile=True, autograph=False)(x)
    close(got, encoder(x), 1e-4, 1e-5)


def test_paths_are_dropped_by_seed():
    encoder, x = randomised(small(drop_path=0.8)), images()
    seeds = tf.random.stateless_uniform([2, 2], [3, 0], None, None, tf.int32)
    dropped = encoder(x, training=True, seeds=seeds)
    assert not np.allclose(dropped, encoder(x), 1e-3)
    turned = encoder(x[::-1], training=True, seeds=seeds[::-1])
    close(turned, dropped[::-1], 1e-4, 1e-5)
    with pytest.raises(ValueError, match="needs a seed for each example"):
        encoder(x, training=True)


def test_weights_start_as_in_the_reference():
    keras.utils.set_random_seed(0)
    encoder = BEiT(8, 192, 2, 3, image_size=32)
    encoder.build(None)
    values = {k: v.numpy() for k, v in tracing.named_variables(encoder).items()}
    # Truncated at one deviation; the last kernels of branches shrink with depth.
    spread = 0.02 * 0.5396
    for name, want in {
        "patches/kernel": spread,
        "block2/attention/qkv/kernel": spread,
        "block1/attention/out/kernel": spread / np.sqrt(2),
        "block2/dense2/kernel": spread / 2,
    }.items():
        assert abs(values[name].std() / want - 1) < 0.05, name
    assert np.all(values["block1/scale1"] == np.float32(0.1))
    assert not np.any(values["relative_bias/table"])


@pytest.mark.parametrize("options", [{}, {"relative": "per_block", "pooling": "mean"}])
def test_config_round_trip(options):
    encoder = small(name="mine", positions="learned", layer_scale=None, **options)
    serial = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    again = keras.saving.deserialize_keras_object(serial)
    assert again.get_config() == encoder.get_config()
    encoder.build(None), again.build(None)
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(images()), encoder(images()))


def test_one_trace_makes_all_variables_and_an_export_equals_the_call(tmp_path):
    encoder = small(depth=1, relative="per_block")
    tracing.make_variables(lambda batch: encoder(batch["images"]), SPEC)
    other = small(depth=1, relative="per_block")
    other(images())
    names = list(tracing.named_variables(other))
    assert list(tracing.named_variables(randomised(encoder))) == names
    saved_model.export(encoder, tmp_path / "export", 32, {})
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["serve_float"](images=images())["features"]
    close(got, encoder(images()), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(relative="own"), "relative must be one of shared, per_block"),
        (lambda: small(positions="sincos"), "positions must be one of none, learned"),
        (lambda: small(heads=5), "A BEiT needs at least one block.*heads=5"),
        (lambda: small(layer_scale=0), "layer_scale must be positive, got 0"),
        (lambda: small(patch_size=0), "patch_size must be positive, got 0"),
        (lambda: small(image_size=30), "beit has patches of 8 px.*got 30 x 30"),
        (lambda: small()(images(2, 30, 32)), "sides are known and.*; got 30 x 32"),
        (lambda: small().positions_for(32, 32), "beit has no positions"),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
