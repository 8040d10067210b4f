import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.layers.predict_ahead import PredictAhead

ROWS, COLUMNS = 5, 3


def inputs(n=4, lengths=(5, 5, 3, 1), seed=0):
    """Contexts, targets that say where they stand, validity and noise."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n, ROWS, COLUMNS, 6)).astype(np.float32)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    place = np.stack([row, column], -1)
    targets = np.broadcast_to(place, (n, *place.shape)).astype(np.float32)
    valid = (row < np.array(lengths)[:, None, None]).astype(np.float32)
    noise = rng.uniform(size=(n, 2, ROWS * COLUMNS)).astype(np.float32)
    return contexts, targets, valid, noise


def test_pairs_contexts_with_what_stands_so_many_rows_below():
    layer = PredictAhead(2, (1, 3))
    contexts, _, valid, _ = inputs()
    for k, found, dense in zip((1, 3), layer(*inputs()), layer.maps, strict=True):
        prediction, target, real = (x.numpy() for x in found)
        assert target.shape == (4, (ROWS - k) * COLUMNS, 2)
        for i, (r, c) in enumerate(np.ndindex(ROWS - k, COLUMNS)):
            np.testing.assert_array_equal(target[:, i], [[r + k, c]] * 4)
            np.testing.assert_array_equal(real[:, i], valid[:, r + k, c])
            want = contexts[:, r, c] @ dense.kernel.numpy()
            np.testing.assert_allclose(prediction[:, i], want, rtol=1e-4, atol=1e-6)
        assert dense.bias is None


def test_chosen_positions_differ_and_are_real_as_far_as_there_are_any():
    layer = PredictAhead(2, (1, 3), positions=6)
    _, _, valid, _ = inputs()
    seen = []
    for k, (prediction, target, real) in zip((1, 3), layer(*inputs()), strict=True):
        assert prediction.shape == target.shape == (4, 6, 2)
        left = valid[:, k:].sum(axis=(1, 2))
        np.testing.assert_array_equal(tf.reduce_sum(real, 1), np.minimum(left, 6))
        for row in target.numpy():
            assert len({tuple(place) for place in row}) == 6
        seen.append(target.numpy())
    other = layer(*inputs()[:3], inputs(seed=1)[3])
    assert np.any(other[0][1] != seen[0])


def test_steps_beyond_the_grid_are_refused():
    with pytest.raises(ValueError, match="With 5 rows or frames none is 5 after"):
        PredictAhead(2, (2, 5))(*inputs())
