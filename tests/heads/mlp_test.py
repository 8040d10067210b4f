import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.tracing import named_variables
from keras_ssl.heads.mlp import MLP


def features(n=32, d=6):
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def built(widths=(8, 5), last_norm=False, d=6, **options):
    head = MLP(widths, last_norm, **options)
    head.build((None, d))
    rng = np.random.default_rng(1)
    for weight in head.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return head


def normed(x, norm):
    y = (x - x.mean(0)) / np.sqrt(x.var(0) + norm.epsilon) * norm.gamma.numpy()
    return y if norm.beta is None else y + norm.beta.numpy()


@pytest.mark.parametrize("widths", [(5,), (8, 5), (8, 7, 5)])
@pytest.mark.parametrize("last_norm", [False, True])
def test_values(widths, last_norm):
    head, x = built(widths, last_norm), features().astype(np.float64)
    want = x
    for i, dense in enumerate(head.dense):
        last = i == len(widths) - 1
        want = want @ dense.kernel.numpy()
        if last and not last_norm:
            want = want + dense.bias.numpy()
        if not last or last_norm:
            want = normed(want, head.norms[i])
        if not last:
            want = np.maximum(want, 0)
    got = head(x.astype(np.float32), training=True)
    assert got.shape == (32, 5)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    assert np.min(got) < 0  # The last layer has no ReLU.


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["kernel", "gamma", "beta", "kernel", "bias"]),
        ({"last_norm": True}, ["kernel", "gamma", "beta", "kernel", "gamma"]),
        (
            {"last_norm": True, "last_scale": False},
            ["kernel", "gamma", "beta", "kernel"],
        ),
        ({"norm": False}, ["kernel", "bias", "kernel", "bias"]),
        (
            {"norm": False, "last_norm": True},
            ["kernel", "bias", "kernel", "gamma"],
        ),
    ],
)
def test_no_bias_where_a_norm_follows(options, names):
    head = built(**options)
    assert head(features(), training=True).shape == (32, 5)
    again = MLP.from_config(head.get_config())
    again.build((None, 6))
    assert len(again.weights) == len(head.weights)
    assert sorted(v.name for v in head.trainable_variables) == sorted(names)


def test_inference_uses_moving_statistics():
    head, x = built(), features()
    before = head(x)
    assert not np.allclose(head(x, training=True), before)
    assert not np.allclose(head(x), before)  # They have moved.
    one = head(x[:1])
    np.testing.assert_allclose(one, head(x)[:1], rtol=1e-4, atol=1e-5)


def test_bfloat16_computes_with_float32_weights():
    head = built(dtype="mixed_bfloat16")
    assert head(features(), training=True).dtype == tf.bfloat16
    assert {v.dtype for v in head.variables} == {"float32"}


def test_config_round_trip():
    head = built((8, 7, 5), True, name="projector")
    again = keras.layers.deserialize(keras.layers.serialize(head))
    assert again.get_config() == head.get_config()
    assert (again.name, tuple(again.widths), again.last_norm) == (
        "projector",
        (8, 7, 5),
        True,
    )
    again.set_weights(head.get_weights())
    np.testing.assert_array_equal(again(features()), head(features()))


def test_an_mlp_without_layers_is_an_error():
    with pytest.raises(ValueError, match=r"at least one width, such as \(512, 128\)"):
        MLP([])


@pytest.mark.parametrize("options", [{}, {"norm": False}, {"last_norm": True}])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_first_layers_stay_what_they_are_in_the_whole(options, layers):
    head, x = built((8, 7, 5), **options), features()
    head(x, training=True)
    part = head.first(layers)
    part.build((None, 6))
    whole = named_variables(head)
    for name, variable in named_variables(part).items():
        variable.assign(whole[name])
    want = x
    for i in range(layers):
        want = head.dense[i](want)
        want = want if head.norms[i] is None else head.norms[i](want)
        want = tf.nn.relu(want) if i < 2 else want
    np.testing.assert_allclose(part(x), want, rtol=1e-6)
    assert part.output_width == want.shape[1] == (8, 7, 5)[layers - 1]
    assert len(MLP.from_config(part.get_config()).dense) == layers


@pytest.mark.parametrize("layers", [-1, 0, 3])
def test_there_must_be_so_many_layers(layers):
    words = f"from 1 to 2, the number of widths; got {layers}"
    with pytest.raises(ValueError, match=words):
        MLP((8, 5)).first(layers)
