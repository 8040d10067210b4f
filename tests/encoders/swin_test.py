import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import config, tracing
from keras_ssl.encoders.swin import Swin
from keras_ssl.export import saved_model

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
COUNTS = json.loads((GOLDEN / "param_count_swin_beit.json").read_text())["entries"]
SPEC = {"images": tf.TensorSpec([None, 32, 32, 3], tf.float32)}
close = np.testing.assert_allclose


def images(n=2, height=32, width=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n, height, width or height, 3)
    return tf.constant(rng.uniform(size=shape), tf.float32)


def small(**options):
    sizes = {"patch_size": 4, "width": 8, "depths": (2, 1), "heads": (2, 4)}
    # Fresh branches are so small that hardly anything would make a difference.
    return Swin(**{**sizes, "window": 4, "image_size": 32, "init": "xavier", **options})


def test_parameters_are_counted_as_in_the_reference(monkeypatch):
    for name in ("VarianceScaling", "RandomNormal"):
        monkeypatch.setattr(keras.initializers, name, lambda *_, **__: "zeros")
    want = COUNTS["swin_tiny_classes0"]
    encoder = Swin(4, want["embed_dim"], want["depths"], want["num_heads"])
    encoder.build(None)
    assert encoder.count_params() == want["trainable"]
    assert not encoder.non_trainable_variables
    # A classifier on the features makes up the rest.
    whole = COUNTS["swin_tiny_classes1000"]["trainable"]
    assert whole - want["trainable"] == (encoder.feature_dim + 1) * 1000


@pytest.mark.parametrize(
    ("name", "sizes", "stages"),
    [
        ("tiny_cifar", (2, 96, 4, 32), (16, 8, 4, 2)),
        ("tiny", (4, 96, 7, 224), (56, 28, 14, 7)),
        ("small", (4, 96, 7, 224), (56, 28, 14, 7)),
        ("base", (4, 128, 7, 224), (56, 28, 14, 7)),
        ("base_simmim", (4, 128, 6, 192), (48, 24, 12, 6)),
    ],
)
def test_sizes_of_the_papers_have_configurations(name, sizes, stages):
    config.parse(["methods/simclr.gin", f"encoders/swin_{name}.gin"])
    made = config.value("train", "method").encoder
    names = ("patch_size", "width", "window", "image_size")
    assert tuple(getattr(made, n) for n in names) == sizes
    assert made.grids == [(side, side) for side in stages]


def seen(encoder, x, stage, place):
    """Which tokens of a stage change when one pixel does."""
    row, column = place
    pixel = tf.one_hot([row], x.shape[1])[0][:, None] * tf.one_hot(column, x.shape[2])
    other = tf.abs(x - pixel[None, :, :, None])
    before, after = (encoder.stage_maps(v)[stage] for v in (x, other))
    return np.any(np.abs(before - after) > 1e-6, axis=(0, 3))


def test_tokens_see_their_window_and_shifted_ones_across_its_border():
    x = images()
    near = np.zeros([8, 8], bool)
    near[:4, :4] = True
    got = seen(small(depths=(1, 1)), x, 0, (0, 0))
    np.testing.assert_array_equal(got, near)
    # A shifted block alone: the corner's window is what a half of one leaves.
    alone = small(depths=(2, 1))
    alone.stages[0] = alone.stages[0][1:]
    got = seen(alone, x, 0, (0, 0))
    near[2:], near[:, 2:] = False, False
    np.testing.assert_array_equal(got, near)
    got = seen(alone, x, 0, (16, 16))
    np.testing.assert_array_equal(np.argwhere(got)[[0, -1]], [[2, 2], [5, 5]])
    assert got.sum() == 16


def test_small_maps_are_one_window_that_does_not_shift():
    encoder = small(depths=(1, 2))
    assert [block.shifted for block in encoder.stages[1]] == [False, True]
    assert encoder.sides == [4, 4]
    first, second = encoder.stages[1]
    first.build((None, None, None, 16)), second.build((None, None, None, 16))
    second.set_weights(first.get_weights())
    x = tf.random.stateless_uniform([2, 4, 4, 16], [1, 2])
    np.testing.assert_array_equal(first(x), second(x))
    # Made for windows of 4, given one of 2: the same offsets have the same biases.
    whole, part = (first.relative.bias((side, side)) for side in (4, 2))
    rows = [0, 1, 4, 5]
    close(part, tf.gather(tf.gather(whole, rows, axis=2), rows, axis=3))


def test_four_neighbours_become_one_token_column_by_column():
    encoder = small()
    encoder.build(None)
    (merge,) = encoder.merges
    merge.norm.gamma.assign(tf.ones([32]))
    merge.reduce.kernel.assign(tf.eye(32, 16))
    x = tf.random.stateless_uniform([1, 4, 6, 8], [1, 2])
    four = tf.concat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)
    close(merge(x), merge.norm(four)[..., :16], 1e-5, 1e-6)
    with pytest.raises(ValueError, match="3 x 4 tokens cannot be merged two by two"):
        merge(x[:, :3, :4])


def test_maps_of_every_stage_and_features_of_the_last():
    encoder, x = small(), images()
    maps = encoder.maps(x)
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    assert shapes == {"stage1": (2, 8, 8, 8), "stage2": (2, 4, 4, 16)}
    assert encoder.feature_dim == 16
    close(encoder(x), tf.reduce_mean(maps["stage2"], [1, 2]), 1e-6, 1e-6)
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.2, 0.4)
    other, plain = small(mean=mean, std=std), small(mean=(0, 0, 0), std=(1, 1, 1))
    for made in (other, plain):
        made.build(None)
        made.set_weights(encoder.get_weights())
    close(other(x), plain((x - mean) / std), 1e-4, 1e-5)


@pytest.mark.parametrize("size", [(16, 16), (64, 32), (96, 96)])
def test_other_sizes_that_fit(size):
    encoder = small(positions="learned")
    maps = encoder.maps(images(2, *size))
    assert maps["stage2"].shape == (2, size[0] // 8, size[1] // 8, 16)


def test_hidden_patches_show_a_token_alone():
    encoder, x = small(positions="learned"), images()
    mask = np.zeros([2, 64], np.float32)
    mask[0, 9] = 1.0
    token = tf.range(8, dtype=tf.float32)
    hidden = {"mask": tf.constant(mask), "mask_token": token}
    got, plain = encoder.embed(x, **hidden), encoder.embed(x)
    close(got[0, 1, 1], token + encoder.position_table[0, 9])
    close(got[1], plain[1])
    assert (np.any(got != plain, axis=-1).sum()) == 1
    close(encoder.stage_maps(x, **hidden)[-1][1], encoder.maps(x)["stage2"][1])


def test_mixed_precision_and_gradients_of_all_weights():
    plain = small(positions="learned", depths=(2, 1))
    x, want = images(), plain(images())
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = small(positions="learned", depths=(2, 1))
    assert encoder(x).dtype == tf.float32
    assert encoder.maps(x)["stage1"].dtype == tf.bfloat16
    assert {v.dtype for v in encoder.variables} == {"float32"}
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
    encoder, x = small(), images()
    got = tf.function(encoder, jit_compile=True, autograph=False)(x)
    close(got, encoder(x), 1e-4, 1e-5)


def test_paths_are_dropped_by_seed_and_more_of_them_the_deeper():
    encoder, x = small(drop_path=0.8, depths=(1, 2)), images()
    rates = [block.drop_path for blocks in encoder.stages for block in blocks]
    close(rates, [0.0, 0.4, 0.8])
    assert [b.index for blocks in encoder.stages for b in blocks] == [0, 1, 2]
    seeds = tf.random.stateless_uniform([2, 2], [3, 0], None, None, tf.int32)
    dropped = encoder(x, training=True, seeds=seeds)
    assert not np.allclose(dropped, encoder(x), 1e-3)
    turned = encoder(x[::-1], training=True, seeds=seeds[::-1])
    close(turned, dropped[::-1], 1e-4, 1e-5)


def test_config_round_trip_one_trace_and_an_export_equals_the_call(tmp_path):
    options = {"positions": "learned", "patch_norm": False, "qkv_bias": False}
    encoder = small(name="mine", depths=(1, 1), **options)
    tracing.make_variables(lambda batch: encoder(batch["images"]), SPEC)
    serial = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    again = keras.saving.deserialize_keras_object(serial)
    assert again.get_config() == encoder.get_config()
    x = images()
    again(x)
    names = list(tracing.named_variables(encoder))
    assert names == list(tracing.named_variables(again))
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(x), encoder(x))
    saved_model.export(encoder, tmp_path / "export", 32, {})
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["serve_float"](images=x)["features"]
    close(got, encoder(x), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(depths=(2,)), r"for each stage; received depths=\(2,\)"),
        (lambda: small(depths=(), heads=()), "positive depth and number of heads"),
        (lambda: small(heads=(2, 0)), "positive depth and number of heads"),
        (lambda: small(heads=(3, 4)).build(None), "3 heads cannot share a width of 8"),
        (lambda: small(window=0), "window must be positive, got 0"),
        (lambda: small(positions="sincos"), "positions must be one of none, learned"),
        (lambda: small(image_size=30), "swin has patches of 4 px.*got 30 x 30"),
        (
            lambda: small(image_size=36),
            "36 x 36 px, which do not fit its stage 1: Windows of 4 x 4 do not fill "
            "9 x 9 tokens. Multiples of 32 px fit all",
        ),
        (
            lambda: small(window=3)(images(2, 36)),
            "32 x 32 px.*Windows of 3 x 3 do not fill 8 x 8",
        ),
        (
            lambda: small(window=12, image_size=36),
            "36 x 36 px.*fit its stage 2: Not all merge two by two",
        ),
        (lambda: small()(images(2, 48)), "48 x 48 px.*stage 2: Windows of 4 x 4"),
        (
            lambda: small()(keras.KerasTensor((None, None, None, 3))),
            "are known and multiples of it; got None x None",
        ),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
