import numpy as np
import tensorflow as tf

from keras_ssl.heads.fcn import FCNHead
from keras_ssl.heads.linear_maps import LinearMaps

SHAPES = {"fine": (6, 8, 2), "coarse": (3, 4, 3)}


def drawn():
    rng = np.random.default_rng(0)
    return {
        name: tf.constant(rng.normal(2.0, 3.0, size=(4, *s)), tf.float32)
        for name, s in SHAPES.items()
    }


def test_it_is_linear_in_maps_that_are_resized_and_put_together():
    head, maps = LinearMaps(SHAPES, 5), drawn()
    head.build()
    assert not head(maps).numpy().any()
    for variable in head.trainable_variables:
        rng = np.random.default_rng(variable.shape[0])
        variable.assign(rng.normal(size=variable.shape))
    got = head(maps, training=True)
    assert got.shape == (4, 6, 8, 5)
    assert got.dtype == tf.float32
    normal = []
    for x in maps.values():
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        normal.append(tf.image.resize((x - mean) / tf.sqrt(variance + 1e-5), (6, 8)))
    kernel = np.concatenate([head.kernels[name].numpy() for name in SHAPES])
    want = tf.concat(normal, -1).numpy() @ kernel + head.bias.numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    # In inference what was seen in training counts, an image alone comes out alike.
    for _ in range(80):
        head(maps, training=True)
    one = head({name: x[:1] for name, x in maps.items()})
    np.testing.assert_allclose(one, want[:1], rtol=1e-2, atol=1e-2)


def test_an_fcn_sees_the_places_around():
    shapes = {"coarse": SHAPES["coarse"], "fine": SHAPES["fine"]}
    made = [FCNHead(shapes, 5, width=4, dilation=2, seed=s) for s in (0, 0, 1)]
    for head in made:
        head.build()
        assert not head(drawn()).numpy().any()
        head.last.kernel.assign(tf.ones_like(head.last.kernel))
    a, b, c = (head(drawn(), training=True).numpy() for head in made)
    assert a.shape == (4, 6, 8, 5)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1
    # Two kernels, two scales and shifts, the last kernel and bias; the skip's.
    assert len(made[0].trainable_variables) == 8 + 2
    maps = drawn()
    moved = {**maps, "fine": maps["fine"] + tf.one_hot([0], 6)[0][:, None, None] * 9}
    far = np.abs(made[0](moved).numpy() - made[0](maps).numpy()).max(axis=(0, 2, 3))
    # Twice two places on, and no farther.
    np.testing.assert_array_equal(far > 0, [True, False] * 3)


def test_skips_are_added_at_the_finest_size():
    head, maps = FCNHead(SHAPES, 5, width=4), drawn()
    head.build()
    assert head.seen == "coarse"
    head.skips.kernels["fine"].assign(tf.ones([2, 5]))
    want = tf.reduce_sum(maps["fine"], -1, keepdims=True) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(head(maps), np.repeat(want, 5, -1), rtol=1e-4)
    alone = FCNHead({"coarse": SHAPES["coarse"]}, 5, width=4)
    alone.build()
    assert alone.skips is None
    assert alone(maps).shape == (4, 3, 4, 5)
