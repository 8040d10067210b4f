import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses


def rows(n=6, d=4, seed=0):
    made = np.random.default_rng(seed).normal(size=(2, n, d))
    return made.astype(np.float32)


def reference(predictions, targets, valid):
    """Loss and accuracy in plain loops."""
    real = [i for i, v in enumerate(valid) if v]
    total, right = 0.0, 0
    for i in real:
        scores = [float(predictions[i] @ targets[j]) for j in real]
        own = scores[real.index(i)]
        total += np.log(np.sum(np.exp(np.array(scores) - own)))
        right += own == max(scores)
    return total / len(real), right / len(real)


@pytest.mark.parametrize("valid", [None, [1, 0, 1, 1, 0, 1]])
def test_equals_plain_loops(valid):
    predictions, targets = rows()
    weights = None if valid is None else tf.constant(valid, tf.float32)
    loss, accuracy = reference(predictions, targets, valid or [1] * 6)
    got = losses.cpc_info_nce(predictions, targets, weights)
    np.testing.assert_allclose(got, loss, rtol=1e-5)
    got = losses.cpc_accuracy(predictions, targets, weights)
    np.testing.assert_allclose(got, accuracy, rtol=1e-6)


def test_padding_neither_counts_nor_gets_gradients():
    predictions, targets = map(tf.constant, rows())
    valid = tf.constant([1, 1, 1, 1, 0, 0], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([predictions, targets])
        loss = losses.cpc_info_nce(predictions, targets, valid)
    np.testing.assert_allclose(
        loss, losses.cpc_info_nce(predictions[:4], targets[:4]), rtol=1e-6
    )
    for gradient in tape.gradient(loss, [predictions, targets]):
        assert np.all(gradient.numpy()[4:] == 0)
        assert np.all(np.abs(gradient.numpy()[:4]).sum(1) > 0)


def test_limits():
    targets = np.eye(8, dtype=np.float32)
    none = np.zeros([8, 8], np.float32)
    # Nothing known: every candidate is as likely. All known: no loss.
    assert float(losses.cpc_info_nce(none, targets)) == pytest.approx(np.log(8))
    assert float(losses.cpc_info_nce(100 * targets, targets)) == pytest.approx(0)
    assert float(losses.cpc_accuracy(100 * targets, targets)) == 1
    assert float(losses.cpc_info_nce(targets, targets, tf.zeros([8]))) == 0


def test_softmax_runs_over_targets():
    # One target that all predictions like: whoever normalised over predictions would
    # see no difference between them.
    predictions = np.ones([3, 1], np.float32)
    targets = np.array([[5], [0], [0]], np.float32)
    want = np.mean(np.log(np.exp(5) + 2) - np.array([5, 0, 0]))
    assert float(losses.cpc_info_nce(predictions, targets)) == pytest.approx(want)


def test_shapes_are_checked():
    with pytest.raises(
        ValueError, match=r"same shape \(n, d\), got \(3, 4\) and \(2, 4\)"
    ):
        losses.cpc_info_nce(tf.zeros([3, 4]), tf.zeros([2, 4]))


VALID = np.array([1, 0, 1, 1, 0, 0], np.float32)


def step(predictions, targets, valid):
    with tf.GradientTape() as tape:
        tape.watch([predictions, targets])
        loss = losses.cpc_info_nce(predictions, targets, valid)
    slopes = tape.gradient(loss, [predictions, targets])
    return loss, losses.cpc_accuracy(predictions, targets, valid), *slopes


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
from keras_ssl.core import distribute
from tests.losses import predictive_test as here

distribute.virtual_cpus(2)
strategy = distribute.make_strategy("mirrored")

def spread(value):
    return strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(np.split(value, 2)[c.replica_id_in_sync_group]))

inputs = [spread(x) for x in (*here.rows(), here.VALID)]
found = strategy.run(tf.function(here.step), args=inputs)
loss, accuracy, *slopes = map(strategy.experimental_local_results, found)
slopes = [np.concatenate(x) / 2 for x in slopes]
np.savez(sys.argv[1], np.mean(loss), np.mean(accuracy), *slopes)
"""


def test_replicas_with_unequally_much_padding_are_one_batch(tmp_path, pytestconfig):
    out = tmp_path / "out.npz"
    subprocess.run(
        [sys.executable, "-c", REPLICAS, out],
        check=True,
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    want = step(*map(tf.constant, rows()), tf.constant(VALID))
    with np.load(out) as got:
        for one, two in zip(want, got.values(), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
