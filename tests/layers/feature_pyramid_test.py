import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.layers.feature_pyramid import FeaturePyramid


def maps(sides=(7, 4, 2), channels=(3, 4, 5)):
    rng = np.random.default_rng(0)
    return {
        f"P{i + 3}": tf.constant(rng.normal(size=(2, s, s, c)).astype(np.float32))
        for i, (s, c) in enumerate(zip(sides, channels, strict=True))
    }


@pytest.mark.parametrize("sides", [(7, 4, 2), (8, 4, 2)])
def test_levels_are_told_by_coarser_ones(sides):
    layer, given = FeaturePyramid(6, 4), maps(sides)
    levels = layer(given)
    assert [x.shape for x in levels] == [(2, s, s, 6) for s in (*sides, 1)]
    names = list(given)
    for i, name in enumerate(names):
        moved = layer({**given, name: given[name] + 1.0})
        changed = [
            bool(tf.reduce_any(a != b)) for a, b in zip(levels, moved, strict=True)
        ]
        # Those that are finer, and of the last one what is made from it.
        assert changed == [*[j <= i for j in range(3)], i == 2]


def test_it_is_what_the_paper_says():
    layer, given = FeaturePyramid(6, 5, seed=3), maps((8, 4, 2))
    levels = layer(given)
    coarse = layer.across[2](given["P5"])
    middle = layer.across[1](given["P4"]) + np.kron(coarse, np.ones((1, 2, 2, 1)))
    fine = layer.across[0](given["P3"]) + np.kron(middle, np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(levels[0], layer.out[0](fine), rtol=1e-5, atol=1e-5)
    more = layer.down[0](given["P5"])
    np.testing.assert_allclose(levels[3], more, rtol=1e-5, atol=1e-6)
    again = layer.down[1](tf.nn.relu(more))
    np.testing.assert_allclose(levels[4], again, rtol=1e-5, atol=1e-6)


def test_weights_are_those_of_the_seed():
    one, same, other = (FeaturePyramid(6, 4, seed=s) for s in (0, 0, 1))
    for layer in (one, same, other):
        layer(maps())
    for a, b, c in zip(one.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert "bias" in a.path or np.abs(a - c.numpy()).max() > 0
