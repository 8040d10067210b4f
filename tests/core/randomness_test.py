"""Threefry's published answers, and the draws' distribution and independence."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import randomness


def consecutive_seeds(n):
    return tf.stack([tf.range(n), tf.fill([n], 7)], axis=1)


# Random123 1.14, tests/kat_vectors: threefry2x32, 20 rounds; counter, key, answer.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        (
            (0x243F6A88, 0x85A308D3),
            (0x13198A2E, 0x03707344),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ],
)
def test_threefry_known_answers(counter, key, answer):
    counter, key = (
        tuple(tf.constant([word], tf.uint32) for word in words)
        for words in (counter, key)
    )
    got = tuple(int(word[0]) for word in randomness.threefry(key, counter))
    assert got == answer


def test_uniforms_are_uniform():
    u = randomness.uniforms(consecutive_seeds(4096), 0, 8).numpy()
    assert u.shape == (4096, 8)
    assert u.dtype == np.float32
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=64, range=(0, 1))[0]
    expected = u.size / 64
    # 63 degrees of freedom: chi-square lies below 120 but for one seed in 10^5.
    assert ((counts - expected) ** 2 / expected).sum() < 120
    assert abs(u.mean() - 0.5) < 0.006
    assert abs(u.var() - 1 / 12) < 0.002


def test_columns_streams_and_neighbouring_seeds_are_independent():
    n = 4096
    seeds = consecutive_seeds(n + 1)
    first, second = (randomness.uniforms(seeds, s, 5).numpy() for s in (0, 1))
    swapped = randomness.uniforms(seeds[:, ::-1], 0, 5).numpy()
    columns = np.concatenate([first[:n], first[1:], second[:n], swapped[:n]], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    # The standard deviation of a correlation of independent numbers is 1 / sqrt(n).
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    assert len(np.unique(columns[:, :15])) > 0.99 * columns[:, :15].size - n * 5


def test_draws_depend_on_the_seed_alone():
    seeds = consecutive_seeds(6)
    u = randomness.uniforms(seeds, 3, 7).numpy()
    assert np.array_equal(randomness.uniforms(seeds[::-1], 3, 7).numpy(), u[::-1])
    assert np.array_equal(randomness.uniforms(seeds[4:5], 3, 7).numpy(), u[4:5])
    assert randomness.uniforms(seeds, 3, 0).shape == (6, 0)


def test_views_have_seeds_of_their_own():
    seeds = consecutive_seeds(200)
    made = randomness.view_seeds(seeds, 10).numpy()
    assert made.shape == (200, 10, 2)
    assert made.dtype == np.int32
    pairs = np.concatenate([made.reshape(-1, 2), seeds.numpy()])
    assert len(np.unique(pairs, axis=0)) == 2200
    assert np.array_equal(randomness.view_seeds(seeds[5:6], 3)[0], made[5, :3])
    assert randomness.view_seeds(seeds, 0).shape == (200, 0, 2)
