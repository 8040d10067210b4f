import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import tracing
from keras_ssl.heads.mae_decoder import MAEDecoder

close = np.testing.assert_allclose


def small(**options):
    return MAEDecoder(
        **{
            "width": 24,
            "depth": 1,
            "heads": 3,
            "patch_size": 4,
            "image_size": 16,
            **options,
        }
    )


def masked(n=3, patches=16, ratio=0.75, d=10):
    rng = np.random.default_rng(0)
    noise = tf.constant(rng.uniform(size=(n, patches)), tf.float32)
    keep, mask, restore = ops.random_masking_from_noise(noise, ratio)
    tokens = rng.normal(size=(n, 1 + keep.shape[1], d))
    return tf.constant(tokens, tf.float32), keep, mask, restore


def test_visible_tokens_return_to_their_patches():
    decoder = small()
    tokens, keep, mask, restore = masked()
    seen = []
    first = decoder.blocks[0]
    original = first.call
    first.call = lambda x, **options: seen.append(x) or original(x, **options)
    out = decoder(tokens, restore)
    assert out.shape == (3, 16, 48)
    x = seen[0].numpy() - decoder.positions_for(16).numpy()
    close(x[:, 0], decoder.embed(tokens)[:, 0], 1e-5, 1e-5)
    patches, embedded = x[:, 1:], decoder.embed(tokens)[:, 1:].numpy()
    for row in range(3):
        for place, patch in enumerate(keep[row].numpy()):
            close(patches[row, patch], embedded[row, place], 1e-4, 1e-5)
        hidden = patches[row][mask[row].numpy() == 1]
        assert len(hidden) == 12
        token = decoder.mask_token.numpy()[0]
        close(hidden, np.tile(token, [12, 1]), 1e-4, 1e-5)


def test_predictions_of_hidden_patches_differ_by_position():
    tokens, _, mask, restore = masked()
    out = small()(tokens, restore).numpy()[0][mask.numpy()[0] == 1]
    assert np.std(out, axis=0).min() > 1e-4


@pytest.mark.parametrize("patches", [4, 36])
def test_other_square_grids_are_interpolated(patches):
    decoder = small()
    tokens, _, _, restore = masked(patches=patches)
    assert decoder(tokens, restore).shape == (3, patches, 48)
    side = int(patches**0.5)
    own = ops.sincos_position_embedding_2d(24, 4, class_token=True)[None]
    want = ops.interpolate_positions(own, (4, 4), (side, side))
    close(decoder.positions_for(patches), want)


def test_gradients_reach_all_weights_and_xla_compiles():
    decoder = small()
    tokens, _, _, restore = masked()
    decoder(tokens, restore)

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(decoder(tokens, restore, training=True) ** 3)
        return tape.gradient(loss, [v.value for v in decoder.trainable_variables])

    plain, compiled = gradients(), tf.function(gradients, jit_compile=True)()
    for a, b, variable in zip(
        plain, compiled, decoder.trainable_variables, strict=True
    ):
        assert np.any(a), variable.path
        close(b, a, 1e-3, 1e-3 * np.abs(a).max(), err_msg=variable.path)


def test_symbols_bfloat16_and_config():
    keras.config.set_dtype_policy("mixed_bfloat16")
    decoder = small(name="mine")
    spec = {
        "tokens": tf.TensorSpec([None, 5, 10], tf.float32),
        "ids": tf.TensorSpec([None, 16], tf.int32),
    }
    out = tracing.make_variables(lambda b: decoder(b["tokens"], b["ids"]), spec)
    assert out.shape == (None, 16, 48)
    assert {v.dtype for v in decoder.variables} == {"float32"}
    assert {"mask_token", "positions", "predict/bias"} <= set(
        tracing.named_variables(decoder)
    )
    again = keras.layers.deserialize(keras.layers.serialize(decoder))
    assert again.get_config() == decoder.get_config()
    tokens, _, _, restore = masked()
    again(tokens, restore)
    again.set_weights(decoder.get_weights())
    assert again(tokens, restore).dtype == tf.bfloat16
    np.testing.assert_array_equal(again(tokens, restore), decoder(tokens, restore))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(heads=5), "heads share equally; .*width=24, .*heads=5"),
        (lambda: small(width=6, heads=3), "multiple of 4.*width=6"),
        (lambda: small(depth=0), "at least one block.*depth=0"),
        (lambda: small(image_size=18), "image_size=18, patch_size=4"),
        (
            lambda: small()(masked(patches=12)[0], masked(patches=12)[3]),
            "decoder needs the patches of a square image, got 12",
        ),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
