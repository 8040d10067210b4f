"""Which rows share statistics, and that they come back in order."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.layers import split_statistics
from keras_ssl.layers.batch_norm import BatchNorm

SIDES = {
    "queries": (split_statistics.for_queries, lambda row, s: row % s),
    "keys": (split_statistics.for_keys, lambda row, s: row // s % s),
}


def groups(run, rows, splits, first=0):
    """The rows of each pass, as lists; the first one is row `first`."""
    seen = []

    def function(x):
        seen.append(np.asarray(x)[:, 0].astype(int).tolist())
        return {"twice": 2 * x, "more": tf.stack([x, x], axis=1)}

    x = tf.range(first, first + rows, dtype=tf.float32)[:, None]
    out = run(function, x, splits)
    np.testing.assert_array_equal(out["twice"], 2 * x)
    np.testing.assert_array_equal(out["more"], np.stack([x, x], axis=1))
    return seen


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("splits", [1, 2, 3])
def test_groups_are_those_that_are_told(side, splits):
    run, group = SIDES[side]
    rows = 2 * splits**2
    want = [[r for r in range(rows) if group(r, splits) == g] for g in range(splits)]
    assert groups(run, rows, splits) == want


@pytest.mark.parametrize("splits", [2, 4])
def test_query_and_key_share_one_in_splits_of_their_neighbours(splits):
    rows = 4 * splits**2
    found = [groups(run, rows, splits) for run, _ in SIDES.values()]
    for row in range(rows):
        mine, theirs = (
            set(next(g for g in side if row in g)) - {row} for side in found
        )
        assert len(mine) == len(theirs) == rows // splits - 1
        assert len(mine & theirs) == rows // splits**2 - 1


@pytest.mark.parametrize("side", SIDES)
def test_statistics_are_those_of_the_group(side):
    run, group = SIDES[side]
    norm, x = BatchNorm(), np.random.default_rng(0).normal(size=(16, 3))
    norm.build((None, 3))
    got = run(lambda x: norm(x, training=True), tf.constant(x, tf.float32), 2)
    for g in range(2):
        mine = [r for r in range(16) if group(r, 2) == g]
        want = (x[mine] - x[mine].mean(0)) / np.sqrt(x[mine].var(0) + norm.epsilon)
        np.testing.assert_allclose(np.asarray(got)[mine], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_a_replicas_rows_fall_into_the_groups_of_the_whole_batch(side):
    run, _ = SIDES[side]
    whole = groups(run, 16, 2)
    shares = [groups(run, 8, 2, first) for first in (0, 8)]
    joined = [a + b for a, b in zip(*shares, strict=True)]
    assert joined == whole


@pytest.mark.parametrize(("rows", "splits"), [(6, 2), (8, 4), (8, 0)])
def test_unequal_groups_are_an_error(rows, splits):
    with pytest.raises(ValueError, match=rf"splits={splits} needs .* got {rows}: take"):
        split_statistics.for_keys(tf.identity, tf.zeros([rows, 2]), splits)
