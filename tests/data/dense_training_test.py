import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.dense_training import Placing, training_batches
from keras_ssl.data.sources import Source
from keras_ssl.data.truth import IGNORED, Truth

SIZE = 12


def placed(placing, shape=(SIZE, SIZE), size=SIZE, seeds=60):
    """A slope across and down, and as a truth the same in 256 steps."""
    down, across = np.meshgrid(*[np.linspace(0, 0.8, n) for n in shape], indexing="ij")
    image = np.stack([down, across, across], -1).astype(np.float32)
    mask = np.round(100 * (down + across)).astype(np.int32)
    for i in range(seeds):
        x, y = placing(tf.constant(image), tf.constant(mask), tf.constant([i, 1]), size)
        yield x.numpy(), y.numpy(), image, mask


def test_whole_images_stay_or_are_mirrored():
    sides = set()
    for x, y, image, mask in placed(Placing()):
        flipped = y[0, 0] > y[0, -1]
        sides.add(bool(flipped))
        np.testing.assert_array_equal(x[:, ::-1] if flipped else x, image)
        np.testing.assert_array_equal(y[:, ::-1] if flipped else y, mask)
    assert sides == {True, False}
    for _, y, _, mask in placed(Placing(flip=0.0), seeds=5):
        np.testing.assert_array_equal(y, mask)


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (30, 18)])
def test_image_and_truth_move_alike(shape):
    sizes, whole = set(), 0
    for x, y, _, _ in placed(Placing(scale=(0.4, 2.5)), shape):
        counted = y != IGNORED
        # A pixel next to a border is mixed with the grey there by no resizing.
        np.testing.assert_allclose(x[~counted], 0.5)
        want = 100 * (x[..., 0] + x[..., 1])
        # The nearest pixel is up to half a one off down and across, at a border more.
        np.testing.assert_allclose(y[counted], want[counted], atol=15)
        assert np.abs(y - want)[counted].mean() < 80 / (min(shape) - 1) + 0.5
        rows = counted.any(axis=1).sum()
        assert rows == counted.any(axis=0).sum()
        assert counted.sum() == rows**2
        sizes.add(int(rows))
        whole += np.ptp(y[counted]) > 140
    assert min(sizes) <= 6
    assert max(sizes) == SIZE
    # Some are parts, some are whole.
    assert 5 < whole < 55


def source(shape=(SIZE, SIZE, 3)):
    images = tf.repeat(tf.cast(tf.range(10), tf.uint8), SIZE * SIZE * 3)
    images = tf.reshape(images, [10, SIZE, SIZE, 3])

    def read(index):
        broken = tf.debugging.Assert(index != 3, [index])
        with tf.control_dependencies([broken]):
            return tf.gather(images, index)

    truth = Truth("mask", lambda i: tf.cast(images[i, ..., 0], tf.int32))
    return Source("made:numbers", "train", 10, shape, read, truth=truth)


def batches(seed=0, steps=15, **changes):
    made = dataclasses.replace(source(None), **changes)
    return [
        (x.numpy(), y.numpy())
        for x, y in training_batches(made, "mask", Placing(), SIZE, 4, steps, seed)
    ]


def test_batches_are_drawn_by_their_seed_alone():
    found = batches()
    assert len(found) == 15
    for x, y in found:
        np.testing.assert_array_equal(np.round(x[..., 0] * 255), y)
    numbers = np.concatenate([y[:, 0, 0] for _, y in found])
    # Nine images an epoch, as one cannot be read.
    for epoch in range(6):
        part = numbers[9 * epoch : 9 * (epoch + 1)]
        assert sorted(part) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len({tuple(numbers[9 * e : 9 * e + 9]) for e in range(6)}) > 1
    again = np.concatenate([y[:, 0, 0] for _, y in batches()])
    np.testing.assert_array_equal(numbers, again)
    other = np.concatenate([y[:, 0, 0] for _, y in batches(seed=1)])
    assert (numbers != other).any()


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="needs the depth of each image"):
        training_batches(source(), "depth", Placing(), SIZE, 4, 1, 0)
    for scale in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="two positive factors"):
            Placing(scale)
    with pytest.raises(ValueError, match=r"flip must be in \[0, 1\]"):
        Placing(flip=2.0)
