import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import RectBivariateSpline

from keras_ssl import ops

close = np.testing.assert_allclose


def test_windows_are_cut_row_by_row_and_put_together_again():
    maps = tf.reshape(tf.range(2 * 4 * 6), [2, 4, 6, 1])
    got = ops.windows_of(maps, 2)
    assert got.shape == (12, 4, 1)
    np.testing.assert_array_equal(got[1, :, 0], [2, 3, 8, 9])
    np.testing.assert_array_equal(got[3, :, 0], [12, 13, 18, 19])
    assert got[6, 0, 0] == 24
    np.testing.assert_array_equal(ops.from_windows(got, 2, (4, 6)), maps)


@pytest.mark.parametrize(
    ("grid", "window", "want"),
    [
        ((8, 8), 4, (4, 2)),
        ((14, 7), 7, (7, 0)),
        ((4, 8), 7, (4, 0)),
        ((9, 9), 3, (3, 1)),
    ],
)
def test_windows_shift_by_half_unless_there_is_one(grid, window, want):
    assert ops.window_and_shift(grid, window) == want


def test_windows_must_fill_the_grid():
    with pytest.raises(ValueError, match="4 x 4 do not fill 8 x 6 tokens"):
        ops.window_and_shift((8, 6), 4)
    with pytest.raises(ValueError, match="at least one patch, got 0 x 2"):
        ops.relative_position_index((0, 2))


@pytest.mark.parametrize(("grid", "window", "shift"), [((8, 12), 4, 2), ((6, 6), 3, 1)])
def test_rolled_tokens_look_at_those_that_were_near_before(grid, window, shift):
    places = np.stack(np.indices(grid), -1)
    rolled = tf.constant(np.roll(places, (-shift, -shift), (0, 1))[None])
    tokens = ops.windows_of(rolled, window).numpy()
    far = np.abs(tokens[:, :, None] - tokens[:, None]).max(-1) >= window
    got = ops.shifted_window_mask(grid, window, shift)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.where(far, -100.0, 0.0))


def test_offsets_have_a_row_each():
    index = ops.relative_position_index((2, 3), class_token=True)
    assert index.dtype == np.int32
    assert index.shape == (7, 7)
    patches = index[1:, 1:]
    # Of 3 x 5 offsets the middle one is none; one row down is 5 more, a column one.
    assert set(np.diag(patches)) == {7}
    assert patches[3, 0] == 12  # Looks one row up.
    assert patches[0, 1] == 6  # Looks one column right.
    assert set(index[0, 1:]) == {15}
    assert set(index[1:, 0]) == {16}
    assert index[0, 0] == 17
    np.testing.assert_array_equal(ops.relative_position_index((2, 3)), patches)


def test_a_smaller_window_keeps_the_biases_of_its_offsets():
    table = tf.random.stateless_uniform([7 * 9 + 3, 2], [1, 2])
    small = ops.resize_relative_positions(table, (4, 5), (3, 2), class_token=True)
    index, part = (
        ops.relative_position_index(window, class_token=True)
        for window in ((4, 5), (3, 2))
    )
    # The class token, and the upper left of the patches.
    at = np.append(0, 1 + np.arange(20).reshape(4, 5)[:3, :2])
    want = table.numpy()[index[np.ix_(at, at)]]
    np.testing.assert_array_equal(small.numpy()[part], want)
    same = ops.resize_relative_positions(table, (4, 5), (4, 5), class_token=True)
    assert same is table
    with pytest.raises(ValueError, match="66 biases is not of 4 x 5 patches alone"):
        ops.resize_relative_positions(table, (4, 5), (3, 2))


@pytest.mark.parametrize(("old", "new"), [(14, 24), (4, 6), (3, 9)])
def test_a_larger_window_is_splined_as_for_fine_tuning(old, new):
    table = np.random.default_rng(0).normal(size=[(2 * old - 1) ** 2, 1])
    got = ops.resize_relative_positions(tf.constant(table), (old,) * 2, (new,) * 2)
    # Distances that grow by a factor, as far as 1.5 allows, to the greatest.
    factors = np.linspace(1.01, 1.5, 100001)
    reach = np.sum(factors[:, None] ** np.arange(old - 1), axis=1)
    factor = factors[np.argmin(np.abs(reach - (new - 1)))]
    distances = np.cumsum(factor ** np.arange(old - 1))
    known = np.concatenate([-distances[::-1], [0], distances])
    values = table.reshape(2 * old - 1, -1)
    # The authors call interp2d, which is this one: it repeats the border beyond it.
    at = np.clip(np.arange(1 - new, new), known[0], known[-1])
    want = RectBivariateSpline(known, known, values, s=0)(at, at)
    close(got.numpy().reshape(want.shape), want, atol=2e-3)
    # Direct neighbours are as far as before.
    middle = got.numpy().reshape(want.shape)[new - 2 : new + 1, new - 2 : new + 1]
    close(middle, values[old - 2 : old + 1, old - 2 : old + 1], atol=1e-6)
