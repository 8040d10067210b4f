import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops

close = np.testing.assert_allclose


def plain(dim, rows, columns):
    """`(rows, columns, dim)`, number by number."""
    table = np.zeros([rows, columns, dim])
    quarter = dim // 4
    for r in range(rows):
        for c in range(columns):
            for i in range(quarter):
                frequency = 1 / 10000 ** (i / quarter)
                table[r, c, i] = np.sin(c * frequency)
                table[r, c, quarter + i] = np.cos(c * frequency)
                table[r, c, 2 * quarter + i] = np.sin(r * frequency)
                table[r, c, 3 * quarter + i] = np.cos(r * frequency)
    return table


@pytest.mark.parametrize("grid", [(3, 3), (2, 5)])
def test_columns_come_first_in_mae_and_rows_in_moco_v3(grid):
    want = plain(8, *grid)
    mae = ops.sincos_position_embedding_2d(8, grid)
    close(mae, want.reshape(-1, 8), atol=1e-6)
    moco = ops.moco_v3_position_embedding(8, grid, class_token=False)
    close(moco, np.roll(want, 4, axis=-1).reshape(-1, 8), atol=1e-6)


def test_the_class_token_has_no_position():
    for function in (ops.sincos_position_embedding_2d, ops.moco_v3_position_embedding):
        table = function(8, 3, class_token=True)
        assert table.shape == (10, 8)
        assert not np.any(table[0])
        close(table[1:], function(8, 3, class_token=False))


def test_temperature_stretches_the_waves():
    hot, cold = (
        ops.moco_v3_position_embedding(16, 4, t, class_token=False) for t in (1e2, 1e6)
    )
    close(hot[:, :1], cold[:, :1])  # The first wave has always the same length.
    assert np.abs(cold[:, 3]).max() < np.abs(hot[:, 3]).max()


def cubic(x, a=-0.75):
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def resized(row, new, offset):
    """One axis, tap by tap."""
    found = []
    for i in range(new):
        place = (i + 0.5) * len(row) / (new + offset) - 0.5
        taps = np.floor(place).astype(int) + np.arange(-1, 3)
        last = len(row) - 1
        found.append(sum(cubic(place - t) * row[np.clip(t, 0, last)] for t in taps))
    return np.stack(found)


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("new", [(6, 6), (2, 3), (1, 9)])
def test_interpolation_is_that_of_each_axis(new, offset):
    table = np.random.default_rng(0).normal(size=(1, 1 + 3 * 4, 5))
    got = ops.interpolate_positions(tf.constant(table), (3, 4), new, offset).numpy()
    square = resized(table[0, 1:].reshape(3, 4, 5), new[0], offset)
    square = resized(square.transpose(1, 0, 2), new[1], offset).transpose(1, 0, 2)
    close(got[0, 1:], square.reshape(-1, 5), atol=1e-12)
    close(got[:, 0], table[:, 0])
    alone = tf.constant(table[:, 1:])
    alone = ops.interpolate_positions(alone, (3, 4), new, offset, class_token=False)
    close(alone, got[:, 1:])


def test_interpolation_keeps_the_same_grid_and_constants():
    table = tf.random.stateless_normal([1, 17, 3], [0, 1])
    assert ops.interpolate_positions(table, (4, 4), (4, 4), 0.1) is table
    flat = ops.interpolate_positions(tf.ones([1, 17, 3]), (4, 4), (7, 5), 0.1)
    close(flat, tf.ones([1, 36, 3]), rtol=1e-6)


def test_gradients_reach_the_table():
    table = tf.random.stateless_normal([1, 17, 3], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(table)
        total = tf.reduce_sum(ops.interpolate_positions(table, (4, 4), (6, 6)))
    gradient = tape.gradient(total, table)
    close(tf.reduce_sum(gradient[:, 1:]), 36 * 3, rtol=1e-5)
    assert np.all(gradient[:, 0] == 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ops.sincos_position_embedding_2d(6, 4), "multiple of 4.*dim=6"),
        (lambda: ops.moco_v3_position_embedding(8, (0, 4)), r"grid_size=\(0, 4\)"),
        (lambda: ops.moco_v3_position_embedding(8, 4, 0.0), "positive, got 0.0"),
        (
            lambda: ops.interpolate_positions(tf.zeros([1, 16, 3]), (4, 4), (5, 5)),
            "table of 16 positions is not of 4 x 4 patches and a class token",
        ),
        (
            lambda: ops.interpolate_positions(
                tf.zeros([1, 17, 3]), (4, 4), (5, 5), class_token=False
            ),
            "not of 4 x 4 patches alone",
        ),
    ],
)
def test_mistakes_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()
