import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.heads.pixel_cnn import PixelCNN


def grid(rows=6, columns=5, seed=0):
    values = np.random.default_rng(seed).normal(size=(2, rows, columns, 8))
    return values.astype(np.float32)


def test_a_row_knows_itself_and_rows_above_and_none_below():
    context, x = PixelCNN(16, 3), grid()
    before = context(x).numpy()
    for row in range(6):
        changed = x.copy()
        changed[:, row] += 1
        moved = np.abs(context(changed) - before).max(axis=(0, 2, 3)) > 1e-6
        assert not moved[:row].any()
        # Each of three blocks reaches a row further.
        assert moved[row : row + 4].all()
        assert not moved[row + 4 :].any()


def test_shapes_and_configuration():
    context = PixelCNN(16, 2)
    assert context(grid()).shape == (2, 6, 5, 8)
    assert context(grid(rows=1)).shape == (2, 1, 5, 8)
    again = PixelCNN.from_config(context.get_config())
    again.build((None, None, None, 8))
    assert [v.shape for v in again.weights] == [v.shape for v in context.weights]
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        PixelCNN(blocks=0)


def test_computes_in_its_precision():
    context = PixelCNN(16, 2, dtype="mixed_bfloat16")
    assert context(grid()).dtype == tf.bfloat16
