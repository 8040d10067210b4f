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
    with pytest.raises(ValueError, match=r"same shape, got \(3, 4\) and \(2, 4\)"):
        losses.cpc_info_nce(tf.zeros([3, 4]), tf.zeros([2, 4]))
