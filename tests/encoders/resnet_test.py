import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.encoders.resnet import ResNet, SmallResNet

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
COUNTS = {
    name: entry
    for file in ("param_count_simclr_resnet", "param_count_resnet_alexnet")
    for name, entry in json.loads((GOLDEN / f"{file}.json").read_text())[
        "entries"
    ].items()
}
SLOW = pytest.mark.slow


def images(n=2, size=32, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.uniform(size=(n, size, size, 3)), tf.float32)


def built(encoder, size=32):
    """Makes the variables by a symbolic trace; returns the features' symbol."""
    return encoder(keras.KerasTensor((None, size, size, 3)))


def small(stem="strided", **options):
    return SmallResNet((1, 2), (8, 16), stem_width=4, stem=stem, **options)


@pytest.mark.parametrize(
    "case",
    [
        "simclr_resnet18_1x_cifar_stem",
        "simclr_resnet50_1x",
        pytest.param("simclr_resnet50_2x", marks=SLOW),
        pytest.param("simclr_resnet101_1x", marks=SLOW),
        "simclr_resnet50_1x_sk",
        "torchvision_resnet18_classes0",
        "torchvision_resnet50_classes0",
    ],
)
def test_parameters_are_counted_as_in_the_authors_code(case, monkeypatch):
    # Random numbers for 94 million weights would take most of the time.
    monkeypatch.setattr(keras.initializers, "VarianceScaling", lambda *_: "zeros")
    want = COUNTS[case]
    encoder = ResNet(
        want["depth"],
        want["width"],
        stem="cifar" if want.get("cifar_stem") else "imagenet",
        variant=case.split("_")[0],
        sk_ratio=want.get("sk_ratio", 0.0),
    )
    features = built(encoder)
    width = want.get("feature_dim", 2048 if want["depth"] == 50 else 512)
    assert features.shape == (None, width)
    assert encoder.feature_dim == width
    trainable, fixed = (
        sum(int(np.prod(v.shape)) for v in variables)
        for variables in (encoder.trainable_variables, encoder.non_trainable_variables)
    )
    assert trainable == want["trainable"]
    assert fixed == want["bn_statistics"]


@pytest.mark.parametrize(
    ("encoder", "sizes"),
    [
        (lambda: ResNet(18, 0.125, "cifar"), [(32, 8), (16, 16), (8, 32), (4, 64)]),
        (lambda: ResNet(18, 0.125), [(8, 8), (4, 16), (2, 32), (1, 64)]),
        (lambda: ResNet(50, 0.0625, "cifar"), [(32, 16), (16, 32), (8, 64), (4, 128)]),
        (
            lambda: ResNet(50, 0.0625, sk_ratio=0.5, blocks=(1, 1, 1, 1)),
            [(8, 16), (4, 32), (2, 64), (1, 128)],
        ),
        (
            lambda: ResNet(50, 0.0625, "cifar", sk_ratio=0.5, blocks=(1, 1, 1, 1)),
            [(32, 16), (16, 32), (8, 64), (4, 128)],
        ),
        (lambda: small(stem="cifar"), [(16, 8), (8, 16)]),
        (lambda: small(), [(8, 8), (4, 16)]),
    ],
)
def test_maps_of_the_stages(encoder, sizes):
    encoder = encoder()
    maps = encoder.maps(images())
    assert list(maps) == [f"stage{i + 1}" for i in range(len(sizes))]
    got = [(m.shape[1], m.shape[3]) for m in maps.values()]
    assert got == sizes
    assert encoder.feature_dim == sizes[-1][1]


def test_selective_kernels_train_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = ResNet(50, 1 / 16, sk_ratio=0.5, blocks=(1, 1, 1, 1))
    built(encoder)
    for block in (stage[0] for stage in encoder.stages):
        block.branch[-1].norm.gamma.assign(tf.ones(block.out_width))
    weights = [v.value for v in encoder.trainable_variables]
    with tf.GradientTape() as tape:
        features = encoder(images(4), training=True)
        loss = tf.reduce_sum(features**2)
    assert features.dtype == tf.float32
    for variable, gradient in zip(
        encoder.trainable_variables, tape.gradient(loss, weights), strict=True
    ):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("size", [1, 7, 33])
def test_features_are_the_means_of_the_last_maps(size):
    encoder, x = small(), images(size=size)
    *_, last = encoder.maps(x).values()
    features = encoder(x)
    assert features.shape == (2, 16)
    assert last.shape[1] == -(-size // 8)
    np.testing.assert_allclose(features, tf.reduce_mean(last, [1, 2]), rtol=1e-6)
    # Mean of what a ReLU leaves.
    assert np.min(features) >= 0
    assert np.std(features) > 0


def test_a_block_starts_as_its_shortcut():
    encoder = ResNet(18, 0.0625, "cifar")
    first, second = encoder.stages[0]
    assert second.shortcut is None
    maps = encoder.maps(images(size=8), training=True)
    x = encoder.stem(encoder.normalize(images(size=8)), training=True)
    x = first(x, training=True)
    np.testing.assert_array_equal(maps["stage1"], x)


def test_strided_convolutions_pad_both_sides():
    # Seen on torchvision: the middle of output (i, j) is input (2 i, 2 j).
    encoder = small()
    built(encoder, 8)
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[1, 1, 0, 0] = 1.0
    encoder.stem.conv.kernel.assign(kernel)
    x = images(1, 8)
    np.testing.assert_allclose(
        encoder.stem.conv(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]))[..., 0],
        x[:, ::2, ::2, 0],
    )
    got = encoder.stem(x)[..., 0] * np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(got, x[:, ::2, ::2, 0], rtol=1e-5)


def test_images_are_normalised_first():
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.2, 0.4)
    encoder, x = small(mean=mean, std=std), images()
    plain = small(mean=(0, 0, 0), std=(1, 1, 1))
    built(encoder), built(plain)
    plain.set_weights(encoder.get_weights())
    np.testing.assert_allclose(encoder.normalize(x), (x - mean) / std, 1e-5, 1e-6)
    np.testing.assert_allclose(encoder(x), plain((x - mean) / std), 1e-4, 1e-5)


def test_bfloat16_inside_float32_outside():
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder, seen = small(), []
    stem = encoder.stem.call
    encoder.stem.call = lambda x, **kwargs: seen.append(x) or stem(x, **kwargs)
    x = tf.fill([2, 8, 8, 3], 0.5 + 2.0**-9)  # Lost if rounded to bfloat16.
    assert encoder(x).dtype == tf.float32
    assert seen[-1].dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(seen[-1], tf.float32), 2.0**-7)
    assert encoder.maps(x)["stage2"].dtype == tf.bfloat16
    assert {v.dtype for v in encoder.variables} == {"float32"}


def test_training_moves_statistics_and_gradients_reach_all_weights():
    encoder, x = small(), images()
    built(encoder)
    before = [v.numpy() for v in encoder.non_trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(x, training=True) ** 2)
    gradients = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    assert all(g is not None for g in gradients)
    for old, variable in zip(before, encoder.non_trainable_variables, strict=True):
        assert not np.array_equal(variable.numpy(), old)
    assert not np.allclose(encoder(x, training=True), encoder(x))


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: ResNet(34, 0.125, "cifar", mean=(0.1, 0.2, 0.3), name="mine"),
        lambda: ResNet(50, 2),
        lambda: ResNet(18, 1 / 16, variant="torchvision", blocks=(1, 2, 1, 1)),
        lambda: ResNet(50, 1 / 16, sk_ratio=0.25, blocks=(1, 1, 1, 1)),
        lambda: small(stem="cifar", std=(1, 2, 3)),
    ],
)
def test_config_round_trip(encoder):
    encoder = encoder()
    again = type(encoder).from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()
    assert again.feature_dim == encoder.feature_dim
    serial = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    third = keras.saving.deserialize_keras_object(serial)
    assert third.get_config() == encoder.get_config()


def test_an_encoder_made_from_the_config_takes_the_weights():
    encoder, x = small(mean=(0.1, 0.2, 0.3)), images(size=8)
    again = SmallResNet.from_config(encoder.get_config())
    assert not np.array_equal(encoder(x), again(x))
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(x), encoder(x))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ResNet(19), "depth must be one of 18, 34, 50, .*; got 19"),
        (lambda: ResNet(stem="big"), "stem must be one of imagenet, cifar.*got 'big'"),
        (lambda: ResNet(variant="v2"), "variant must be one of simclr, torchvision"),
        (lambda: ResNet(50, blocks=(1, 0)), r"blocks needs one to four .*got \(1, 0\)"),
        (lambda: ResNet(18, sk_ratio=0.1), r"sk_ratio=0.1 needs bottleneck blocks"),
        (lambda: ResNet(50, sk_ratio=2.0), r"sk_ratio must be in \(0, 1\], got 2.0"),
        (lambda: SmallResNet((1, 1), (8,)), r"entry for each stage.*\(1, 1\).*\(8,\)"),
        (lambda: SmallResNet(std=(1, 0, 1)), r"std positive ones; .*std=\(1, 0, 1\)"),
        (lambda: SmallResNet(mean=(0, 0)), r"need three numbers.*mean=\(0, 0\)"),
        (
            lambda: small()(tf.zeros([2, 8, 8, 1])),
            r"small_resnet needs images of shape \(n, h, w, 3\), got \(2, 8, 8, 1\)",
        ),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
