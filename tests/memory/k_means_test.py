import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import metrics
from keras_ssl.core import randomness
from keras_ssl.memory import k_means as module
from keras_ssl.memory.k_means import k_means


def groups(count=5, each=40, width=12, spread=0.05, seed=0):
    """Rows around well separated directions, and their group."""
    draw = np.random.default_rng(seed)
    centers = np.linalg.qr(draw.normal(size=(width, width)))[0][:count]
    labels = draw.integers(0, count, count * each)
    rows = centers[labels] + spread * draw.normal(size=(count * each, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return tf.constant(rows, tf.float32), labels


def run(*args, **kwargs):
    function = tf.function(k_means, autograph=False, **kwargs)
    return [np.asarray(x) for x in function(*args)]


@pytest.mark.parametrize("chunk", [64, 200, 4096])
def test_equals_numpy_whatever_the_chunks(monkeypatch, chunk):
    rows, _ = groups()
    monkeypatch.setattr(module, "_CHUNK", chunk)
    noise = randomness.uniforms(tf.constant([[3, 1]]), 0, 200)[0].numpy()
    centroids = rows.numpy()[np.argsort(-noise)[:5]]
    for _ in range(4):
        nearest = np.argmax(rows.numpy() @ centroids.T, axis=1)
        sums = np.stack([rows.numpy()[nearest == k].sum(axis=0) for k in range(5)])
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    found, assigned = run(rows, 5, 4, tf.constant([3, 1]))
    order = np.argmax(found @ centroids.T, axis=1)
    assert sorted(order) == list(range(5))
    np.testing.assert_allclose(found, centroids[order], atol=1e-5)
    np.testing.assert_array_equal(assigned, np.argmax(rows @ found.T, axis=1))


def test_compiles_and_finds_the_same():
    rows, _ = groups()
    plain = run(rows, 5, 4, tf.constant([3, 1]))
    compiled = run(rows, 5, 4, tf.constant([3, 1]), jit_compile=True)
    np.testing.assert_array_equal(plain[1], compiled[1])
    np.testing.assert_allclose(plain[0], compiled[0], atol=1e-5)


def test_a_cluster_without_rows_starts_anew():
    # All but three rows are one point: most clusters start there, and one takes all.
    point = np.eye(4, dtype=np.float32)
    rows = tf.constant(np.concatenate([np.tile(point[:1], (61, 1)), point[1:]]))
    best = max(
        len(np.unique(run(rows, 4, 30, tf.constant([seed, 0]))[1])) for seed in range(8)
    )
    assert best == 4


def test_mutual_information_of_equal_renumbered_and_independent_partitions():
    labels = np.random.default_rng(0).integers(0, 4, 4000)
    other = np.random.default_rng(1).integers(0, 4, 4000)
    nmi = metrics.normalized_mutual_information
    np.testing.assert_allclose(nmi(labels, (labels + 1) % 4, 4), 1.0, atol=1e-5)
    assert float(nmi(labels, other, 4)) < 0.01
    assert float(nmi(labels, np.zeros(4000, int), 4)) == 0.0
