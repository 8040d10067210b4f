import operator

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import distribute
from keras_ssl.layers.attention import Attention
from keras_ssl.layers.biased_block import BiasedBlock
from keras_ssl.layers.drop_path import drop_path
from keras_ssl.layers.gelu import gelu
from keras_ssl.layers.initializers import kernel_initializer
from keras_ssl.layers.layer_norm import LayerNorm
from keras_ssl.layers.transformer import TransformerBlock

close = np.testing.assert_allclose


def tokens(n=3, l=5, d=12, seed=0, scale=1.0):  # noqa: E741
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(n, l, d)) * scale, tf.float32)


def randomised(layer, shape=(None, None, 12)):
    layer.build(shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return layer


@pytest.mark.parametrize("device", ["CPU", "GPU"])
@pytest.mark.parametrize("training", [False, True])
def test_norm_is_that_of_keras(training, device, monkeypatch):
    monkeypatch.setattr(distribute, "device_kind", lambda: device)
    mine, x = randomised(LayerNorm()), tokens(scale=3.0) + 2.0
    theirs = keras.layers.LayerNormalization(epsilon=1e-6)
    theirs.build(x.shape)
    theirs.set_weights(mine.get_weights())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        a, b = mine(x, training=training), theirs(x)
        sums = [tf.reduce_sum(y**3) for y in (a, b)]
    close(a, b, 1e-5, 1e-5)
    weights = ("gamma", "beta")
    for of in (lambda layer: x, *(operator.attrgetter(f"{w}.value") for w in weights)):
        want = tape.gradient(sums[1], of(theirs))
        close(tape.gradient(sums[0], of(mine)), want, 1e-4, 1e-3)


def test_norm_computes_in_float32():
    layer = LayerNorm(dtype="mixed_bfloat16")
    x = tf.constant([[100.0, 100.5, 101.0, 101.5]], tf.bfloat16)
    for training in (False, True):
        assert layer(x, training=training).dtype == tf.bfloat16
        wide = LayerNorm()(tf.cast(x, tf.float32))
        close(tf.cast(layer(x, training=training), tf.float32), wide, 1e-2)
    assert {v.dtype for v in layer.variables} == {"float32"}
    with pytest.raises(ValueError, match="epsilon must be positive, got 0"):
        LayerNorm(0.0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_gelu_is_that_of_tensorflow_and_so_is_its_slope(dtype, training):
    x = tf.cast(tf.linspace(-6.0, 6.0, 1001), dtype)
    wide = tf.cast(x, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, wide])
        got, want = gelu(x, training), tf.nn.gelu(wide, approximate=False)
        twice = 2.0 * gelu(wide, training)
    bound = 1e-6 if dtype == tf.float32 else 2.0**-8
    assert got.dtype == dtype
    close(tf.cast(got, tf.float32), want, bound, bound)
    slope = tape.gradient(want, wide)
    close(tf.cast(tape.gradient(got, x), tf.float32), slope, bound, bound)
    close(tape.gradient(twice, wide), 2 * slope, 1e-5, 1e-6)


def by_hand(layer, x, bias=None):
    """Attention in numpy, head by head."""
    x, width = x.numpy().astype(np.float64), x.shape[-1]
    qkv = x @ layer.qkv.kernel.numpy()
    if layer.qkv_bias == "query_value":
        qkv[..., :width] += layer.query_bias.numpy()
        qkv[..., 2 * width :] += layer.value_bias.numpy()
    elif layer.qkv_bias:
        qkv = qkv + layer.qkv.bias.numpy()
    parts, weights, each = [], [], width // layer.heads
    for head in range(layer.heads):
        q, k, v = (
            qkv[..., part * width + head * each :][..., :each] for part in range(3)
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(each)
        if bias is not None:
            scores += np.tile(bias[:, head], (len(x) // len(bias), 1, 1))
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        weights.append(share)
        parts.append(share @ v)
    out = np.concatenate(parts, -1) @ layer.out.kernel.numpy() + layer.out.bias.numpy()
    return out, np.stack(weights, 1)


@pytest.mark.parametrize("heads", [1, 3, 12])
@pytest.mark.parametrize("qkv_bias", [True, False, "query_value"])
def test_attention(heads, qkv_bias):
    layer, x = randomised(Attention(heads, qkv_bias)), tokens()
    out, weights = by_hand(layer, x)
    close(layer(x), out, 1e-4, 1e-4)
    close(layer.probabilities(x), weights, 1e-4, 1e-5)
    names = {"query_bias", "value_bias"} & {v.name for v in layer.trainable_variables}
    assert bool(names) == (qkv_bias == "query_value")


@pytest.mark.parametrize("groups", [1, 3])
def test_rows_get_biases_in_turn(groups):
    layer, x = randomised(Attention(3)), tokens(6)
    bias = np.random.default_rng(3).normal(size=(groups, 3, 5, 5)).astype("f4")
    out, weights = by_hand(layer, x, bias)
    close(layer(x, bias=tf.constant(bias)), out, 1e-4, 1e-4)
    close(layer.probabilities(x, tf.constant(bias)), weights, 1e-4, 1e-5)


def test_biases_stay_float32():
    block = randomised(TransformerBlock(3, dtype="mixed_bfloat16"))
    x = tf.cast(tokens(), tf.bfloat16)
    # The greatest by far is followed by one that bfloat16 cannot tell from it.
    bias = tf.constant([[300.0, 300.5, 0, 0, 0]] * 5)[None, None]
    got = block.attention_probabilities(x, bias)[..., :2]
    flat = block.attention_probabilities(x, tf.minimum(bias, 300.0))[..., :2]
    ratio = (got[..., 1] / got[..., 0]) / (flat[..., 1] / flat[..., 0])
    close(ratio, np.exp(0.5), 1e-2)
    seen = []
    block.mix = lambda x, bias: seen.append(bias.dtype) or x
    block(x, bias=bias)
    assert seen == [tf.float32]


def test_probabilities_are_float32():
    layer = Attention(3, dtype="mixed_bfloat16")
    x = tokens(d=12)
    assert layer(x).dtype == tf.bfloat16
    weights = layer.probabilities(tf.cast(x, tf.bfloat16))
    assert weights.dtype == tf.float32
    close(tf.reduce_sum(weights, -1), 1.0, 1e-6)


def test_the_block_norms_before_and_adds():
    block, x = randomised(TransformerBlock(3)), tokens()
    y = x + block.attention(block.norm1(x))
    inner = tf.nn.gelu(block.dense1(block.norm2(y)), approximate=False)
    close(block(x), y + block.dense2(inner), 1e-5, 1e-5)
    assert block.dense1.kernel.shape == (12, 48)
    close(
        block.attention_probabilities(x), block.attention.probabilities(block.norm1(x))
    )


def test_learned_factors_scale_the_branches():
    plain, scaled = (randomised(TransformerBlock(3, layer_scale=s)) for s in (None, 2))
    names = {v.name for v in scaled.trainable_variables}
    assert {"scale1", "scale2"} <= names
    layer = TransformerBlock(3, layer_scale=2.0)
    layer.build((None, None, 12))
    assert all(np.all(scale == 2.0) for scale in layer.scales)
    x, scales = tokens(), (scaled.scales[0].numpy(), scaled.scales[1].numpy())
    y = x + scales[0] * scaled.attention(scaled.norm1(x))
    inner = tf.nn.gelu(scaled.dense1(scaled.norm2(y)), approximate=False)
    close(scaled(x), y + scales[1] * scaled.dense2(inner), 1e-5, 1e-5)
    assert not hasattr(plain, "scales")


def test_no_example_looks_at_another():
    block, x = randomised(TransformerBlock(3)), tokens()
    close(block(x)[:1], block(x[:1]), 1e-5, 1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        TransformerBlock(3, 2.0, False, 0.1, 4, "normal", 0.5, 1e-3),
        Attention(2, False),
        BiasedBlock(3, (2, 2), qkv_bias="query_value"),
        BiasedBlock(3, (1, 5), class_token=False, spread=0.5),
    ],
)
def test_config_round_trip(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    x = tokens()
    layer(x), again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), layer(x))


def seeds(n, key=7):
    return tf.random.stateless_uniform([n, 2], [key, 0], None, None, tf.int32)


def test_drop_path_drops_examples_and_keeps_the_mean():
    x = tf.ones([4000, 2, 3])
    y = drop_path(x, 0.25, seeds(4000), 0).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert np.all(y == y[:, :1, :1])  # A whole example or nothing.
    assert abs(y.mean() - 1.0) < 0.03
    other = drop_path(x, 0.25, seeds(4000), 1).numpy()
    assert abs(np.corrcoef(y[:, 0, 0], other[:, 0, 0])[0, 1]) < 0.06


def test_drop_path_depends_on_the_example_alone():
    x, given = tf.ones([64, 3]), seeds(64)
    whole = drop_path(x, 0.5, given, 2)
    halves = [drop_path(x[:32], 0.5, given[i : i + 32], 2) for i in (0, 32)]
    np.testing.assert_array_equal(whole, tf.concat(halves, 0))


def test_a_block_drops_its_branches_apart_and_in_training_only():
    block, x = randomised(TransformerBlock(3, drop_path=0.5, index=3)), tokens(64)
    plain, given = block(x), seeds(64)
    np.testing.assert_array_equal(block(x, seeds=given), plain)
    got = block(x, training=True, seeds=given)
    same = np.all(got.numpy() == x.numpy(), axis=(1, 2)).mean()
    assert 0.05 < same < 0.5  # Both branches dropped: a quarter.
    np.testing.assert_array_equal(block(x, training=True, seeds=given), got)
    assert not np.array_equal(block(x, training=True, seeds=seeds(64, 8)), got)
    with pytest.raises(ValueError, match=r"drop_path=0.5 needs a seed for each.*seed"):
        block(x, training=True)


@pytest.mark.parametrize(
    ("init", "parts", "spread"),
    [
        ("normal", 3, 0.02),
        ("xavier", 1, np.sqrt(2 / (100 + 300))),
        ("xavier_qkv", 3, np.sqrt(2 / (100 + 100))),
    ],
)
def test_kernels_start_as_the_references(init, parts, spread):
    keras.utils.set_random_seed(0)
    kernel = kernel_initializer(init, parts)((100, 300)).numpy()
    assert abs(kernel.std() / spread - 1) < 0.02
    limit = np.abs(kernel).max() / kernel.std()
    assert limit > 3 if init == "normal" else abs(limit - np.sqrt(3)) < 0.02


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match=r"qkv_bias must be one of .*; got 'key'"):
        Attention(3, "key")
    with pytest.raises(ValueError, match="layer_scale must be positive, got 0"):
        TransformerBlock(3, layer_scale=0)
    with pytest.raises(ValueError, match="5 heads cannot share a width of 12"):
        Attention(5).build((None, None, 12))
    with pytest.raises(ValueError, match=r"drop_path must be in \[0, 1\), got 1.0"):
        TransformerBlock(3, drop_path=1.0)
    with pytest.raises(ValueError, match=r"init must be one of normal, .* got .he."):
        kernel_initializer("he")
