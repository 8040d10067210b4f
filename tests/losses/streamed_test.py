"""Streaming changes what is held, not what comes out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.losses import streamed
from keras_ssl.methods.moco import MoCo
from keras_ssl.methods.moco_v3 import MoCoV3
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.methods.simclr_v2_memory import SimCLRv2Memory

ROWS, COLUMNS, WIDTH = 6, 14, 4


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def measured(rows, candidates, chunk, **given):
    """All outputs, and gradients of a sum with unequal weights."""
    with tf.GradientTape() as tape:
        tape.watch([rows, candidates])
        found = streamed.compare(rows, candidates, chunk=chunk, **given)
        weights = tf.linspace(0.5, 2.0, rows.shape[0])
        total = tf.reduce_sum(weights * found["log_sum"])
        if "own" in found:
            total -= tf.reduce_sum(tf.square(found["own"]))
    gradients = tape.gradient(total, [rows, candidates])
    return {**found, "rows": gradients[0], "candidates": gradients[1]}


def close(got, want):
    assert got.keys() == want.keys()
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, 1e-5, 1e-6, err_msg=key)


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 14, 50])
def test_sums_and_gradients_are_those_of_the_whole_matrix(chunk):
    rows, candidates = 3.0 * numbers(ROWS, WIDTH), numbers(COLUMNS, WIDTH, seed=1)
    right, excluded = tf.constant([0, 13, 5, 6, 7, 5]), tf.constant([1, 0, 13, 7, 6, 4])
    with tf.GradientTape() as tape:
        tape.watch([rows, candidates])
        logits = rows @ tf.transpose(candidates)
        logits -= 1e9 * tf.one_hot(excluded, COLUMNS)
        want = {
            "log_sum": tf.reduce_logsumexp(logits, axis=1),
            "largest": tf.reduce_max(logits, axis=1),
            "own": tf.gather(logits, right, batch_dims=1),
            "nearest": tf.argmax(logits, axis=1, output_type=tf.int32),
        }
        weights = tf.linspace(0.5, 2.0, ROWS)
        total = tf.reduce_sum(weights * want["log_sum"] - tf.square(want["own"]))
    slopes = tape.gradient(total, [rows, candidates])
    want |= dict(zip(("rows", "candidates"), slopes, strict=True))
    given = {"right": right, "excluded": excluded, "nearest": True}
    close(measured(rows, candidates, chunk, **given), want)


@pytest.mark.parametrize("chunk", [4, 7])
@pytest.mark.parametrize("compiled", [False, True])
def test_in_graphs_of_known_and_unknown_sizes(chunk, compiled):
    rows, candidates = numbers(ROWS, WIDTH), numbers(COLUMNS, WIDTH, seed=1)
    want = measured(rows, candidates, None)
    # XLA knows all sizes when it compiles; only then can it bound a loop.
    size = COLUMNS if compiled else None

    @tf.function(
        input_signature=[
            tf.TensorSpec([ROWS if compiled else None, WIDTH]),
            tf.TensorSpec([size, WIDTH]),
        ],
        jit_compile=compiled,
    )
    def call(rows, candidates):
        return measured_of_any_size(rows, candidates, chunk)

    close(call(rows, candidates), want)


def measured_of_any_size(rows, candidates, chunk):
    with tf.GradientTape() as tape:
        tape.watch([rows, candidates])
        found = streamed.compare(rows, candidates, chunk=chunk)
        weights = tf.linspace(0.5, 2.0, tf.shape(rows)[0])
        total = tf.reduce_sum(weights * found["log_sum"])
    slopes = tape.gradient(total, [rows, candidates])
    return {**found, "rows": slopes[0], "candidates": slopes[1]}


def test_of_equal_candidates_the_first_is_nearest():
    """A collapsed encoder finds nobody, streamed or not."""
    same = tf.ones([ROWS, WIDTH])
    for chunk in (None, 4):
        found = streamed.compare(same, tf.ones([9, WIDTH]), chunk=chunk, nearest=True)
        np.testing.assert_array_equal(found["nearest"], np.zeros(ROWS))
        got = losses.nt_xent_accuracy(same, same, chunk=chunk)
        np.testing.assert_allclose(got, 1 / (2 * ROWS))


def test_far_logits_neither_overflow_nor_vanish():
    rows = tf.constant([[1.0, 0.0]])
    candidates = tf.constant([[-200.0, 0.0], [300.0, 0.0], [-500.0, 0.0]])
    found = streamed.compare(rows, candidates, chunk=1)
    np.testing.assert_allclose(found["log_sum"], [300.0])


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float64])
def test_in_float32_whatever_comes(dtype):
    rows, candidates = (tf.cast(numbers(5, 3, seed=s), dtype) for s in (0, 1))
    found = measured(rows, candidates, 2)
    assert found["log_sum"].dtype == tf.float32
    assert found["rows"].dtype == found["candidates"].dtype == dtype


@pytest.mark.parametrize("chunk", [0, -1, 2.5, True, "all"])
def test_chunks_are_positive_integers(chunk):
    words = f"chunk must be a positive number of columns.*got {chunk!r}"
    with pytest.raises(ValueError, match=words):
        losses.nt_xent(numbers(3, 2), numbers(3, 2), chunk=chunk)


_ROWS = numbers(4, 2)
_DIRECTIONS = numbers(4, 1, 2)
_QUEUED = {"queue_size": 8, "momentum": None}


@pytest.mark.parametrize(
    ("method", "others", "outputs"),
    [
        (SimCLR, {}, dict.fromkeys(("z1", "z2"), _ROWS)),
        (
            SimCLRv2Memory,
            _QUEUED,
            dict.fromkeys(("z", "keys"), tf.stack([_ROWS, _ROWS], axis=1)),
        ),
        (MoCo, _QUEUED, dict.fromkeys(("queries", "keys"), _DIRECTIONS)),
        (
            MoCoV3,
            {"predictor": keras.layers.Dense(2), "momentum": None},
            dict.fromkeys(("q1", "q2", "k1", "k2"), _ROWS),
        ),
    ],
)
def test_methods_stream_all_comparisons(method, others, outputs, monkeypatch):
    def make(chunk):
        encoder = keras.Sequential([keras.layers.Dense(2)])
        return method(encoder, keras.layers.Dense(2), chunk=chunk, **others)

    chunks = []
    real = streamed.compare

    def compare(*args, chunk=None, **given):
        chunks.append(chunk)
        return real(*args, chunk=chunk, **given)

    monkeypatch.setattr(streamed, "compare", compare)
    scalars = make(3).objective(outputs)
    assert chunks
    assert set(chunks) == {3}
    assert set(scalars) == {"loss", "accuracy"}
    with pytest.raises(ValueError, match="chunk must be a positive number"):
        make(0)
