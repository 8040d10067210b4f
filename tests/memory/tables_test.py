"""The queue, the bank and the center, on one replica."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.memory import Bank, Center, Queue
from keras_ssl.schedules import Clock


def rows(*values):
    return tf.constant([[v, v + 0.5] for v in values])


def test_queue_starts_with_directions_that_the_seed_fixes():
    def start(seed):
        keras.utils.set_random_seed(seed)
        return Queue(8)(rows(0.0, 1.0)).numpy()

    np.testing.assert_allclose(np.linalg.norm(start(0), axis=1), 1.0, rtol=1e-6)
    assert len(np.unique(start(0))) == 16
    np.testing.assert_array_equal(start(0), start(0))
    assert np.any(start(0) != start(1))


def test_queue_forgets_the_oldest_rows_first():
    queue = Queue(6)
    queue(rows(0.0, 1.0))
    for first in range(0, 8, 2):
        queue.push(rows(float(first), first + 1.0))
    np.testing.assert_array_equal(queue(rows(0.0))[:, 0], [6, 7, 2, 3, 4, 5])
    assert int(queue.next.numpy()) == 2


def test_queue_refuses_batches_that_do_not_fill_it():
    with pytest.raises(ValueError, match=r"queue of 10 rows .* batches of 4.* size=8"):
        Queue(10)(rows(1.0, 2.0, 3.0, 4.0))
    with pytest.raises(ValueError, match="at least one row, got size=0"):
        Queue(0)


def bank(momentum=0.5, examples=5):
    made = Bank(momentum)
    made.prepare(Clock(10, 5, examples))
    made(rows(0.0))
    return made


def test_bank_moves_only_the_rows_that_were_seen():
    made = bank(0.25)
    before = made(rows(0.0)).numpy()
    assert before.shape == (5, 2)
    index = tf.constant([3, 0], tf.int64)
    seen = tf.constant([[0.0, 2.0], [3.0, 4.0]])
    made.update(index, seen)
    after = made(rows(0.0)).numpy()
    np.testing.assert_array_equal(after[[1, 2, 4]], before[[1, 2, 4]])
    want = 0.25 * before[[3, 0]] + 0.75 * np.array([[0.0, 1.0], [0.6, 0.8]])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(made.read(index), want, rtol=1e-6)


def test_bank_starts_within_the_limits_of_the_reference():
    start = bank(examples=4000)(rows(0.0)).numpy()
    limit = 1 / np.sqrt(2 / 3)
    assert 0.99 * limit < np.abs(start).max() <= limit
    assert abs(start.mean()) < 0.05


def test_bank_needs_the_number_of_images_and_a_momentum():
    with pytest.raises(ValueError, match="how many training images"):
        Bank().prepare(Clock(10, 5))
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), got 1"):
        Bank(1.0)


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 3)])
def test_center_is_a_running_mean_of_all_but_the_last_axis(shape):
    center = Center(0.75)
    logits = tf.reshape(tf.range(float(np.prod(shape))), shape)
    np.testing.assert_array_equal(center(logits), [0, 0, 0])
    mean = logits.numpy().reshape(-1, 3).mean(axis=0)
    center.update(logits)
    np.testing.assert_allclose(center(logits), 0.25 * mean)
    center.update(logits)
    np.testing.assert_allclose(center(logits), (0.25 + 0.75 * 0.25) * mean)


def test_center_refuses_momenta_out_of_range():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got 1.5"):
        Center(1.5)
