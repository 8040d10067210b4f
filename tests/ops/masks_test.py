import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import randomness

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "beit_blockwise_mask.json"
CASES = json.loads(GOLDEN.read_text())["entries"]


def uniforms(count, attempts=64):
    seeds = tf.stack([tf.range(count), tf.fill([count], 3)], axis=1)
    return randomness.step_uniforms(seeds, 4 * attempts)


def blocky(masks):
    """Mean share of the neighbours of hidden patches that are hidden too."""
    inside = np.pad(np.ones_like(masks), ((0, 0), (1, 1), (1, 1)))
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    turns = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    around = [
        sum(np.roll(x, turn, axis=(1, 2)) for turn in turns)[:, 1:-1, 1:-1]
        for x in (padded, inside)
    ]
    both, all_ = (np.sum(x * masks, axis=(1, 2)) for x in around)
    return np.mean(both / all_)


@pytest.mark.parametrize("case", CASES, ids=lambda c: str(c["kwargs"]["input_size"]))
def test_blocks_are_like_the_references(case):
    rows, columns = case["kwargs"]["input_size"]
    draw = tf.function(
        lambda x: ops.blockwise_mask(x, **case["kwargs"]), jit_compile=True
    )
    masks = np.reshape(draw(uniforms(500)), [500, rows, columns])
    want, counts = case["required_over_500_samples"], masks.sum(axis=(1, 2))
    assert set(np.unique(masks)) == set(want["values"])
    assert counts.max() <= want["count_max"]
    assert counts.min() >= want["count_min"]
    assert want["mean_count_min"] <= counts.mean() <= want["mean_count_max"]
    mean = blocky(masks)
    bounds = [want[f"neighbour_fraction_mean_{end}"] for end in ("min", "max")]
    assert bounds[0] <= mean <= bounds[1]
    assert len(np.unique(masks, axis=0)) == 500


def test_each_example_hides_its_own_number_by_its_own_draws():
    wanted = tf.constant([0.0, 6.5, 20.0, 32.0] * 8)
    draws = uniforms(32)
    masks = ops.blockwise_mask(draws, (8, 8), wanted, min_num_patches=4)
    assert masks.shape == (32, 64)
    counts = np.sum(masks, axis=1)
    assert np.all(counts <= wanted)
    assert np.all(counts[wanted.numpy() > 0] > 0)
    assert counts[3::4].mean() > 30
    alone = ops.blockwise_mask(draws[5:7], (8, 8), wanted[5:7], min_num_patches=4)
    np.testing.assert_array_equal(alone, masks[5:7])


def test_a_block_is_a_rectangle_inside():
    grid = np.reshape(
        ops.blockwise_mask(uniforms(64, attempts=1), (6, 9), 20.0, 6), [64, 6, 9]
    )
    for mask in grid[grid.any(axis=(1, 2))]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] * columns[None])
        assert np.all(np.diff(np.flatnonzero(rows)) == 1)
        assert np.all(np.diff(np.flatnonzero(columns)) == 1)
    # Every place is reached.
    assert grid.any(axis=0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_aspect": 0.0}, "min_aspect"),
        ({"min_num_patches": 0}, "min_num_patches"),
        ({"max_num_patches": 8}, "max_num_patches"),
        ({"uniforms": tf.zeros([2, 3])}, "4 numbers"),
    ],
)
def test_says_what_is_wrong(options, message):
    given = {"uniforms": uniforms(2), "input_size": (8, 8), "num_masking_patches": 9}
    with pytest.raises(ValueError, match=message):
        ops.blockwise_mask(**{**given, **options})
