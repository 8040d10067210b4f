"""Workers make shares of a batch: together they are the batch, bit for bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.core.share import WHOLE, Share
from keras_ssl.data import pipeline
from keras_ssl.data.partners import SameLabel
from keras_ssl.data.sources import Source
from tests.data import unreadable_test


def fixed(count=100):
    """Images of one size; notes which ones are read."""
    held = np.random.default_rng(0).integers(0, 256, (count, 40, 40, 3), np.uint8)
    read = set()

    def note(index):
        read.update(index.tolist())
        return held[index]

    def images(index):
        got = tf.numpy_function(note, [index], tf.uint8)
        return tf.ensure_shape(got, [None, 40, 40, 3])

    labels, names = np.arange(count) % 5, tuple("abcde")
    made = Source("fake", "train", count, (40, 40, 3), images, labels, names)
    return made, read


def shares(pipelines, local):
    """What each of some pipelines makes, each for `local` replicas."""
    replicas = pipelines * local
    return [Share(replicas, i * local, local) for i in range(pipelines)]


def global_batches(make, pipelines, local, steps):
    """Batches that the replicas of all pipelines see together."""
    parts = [
        list(make(share).take(steps * local).as_numpy_iterator())
        for share in shares(pipelines, local)
    ]
    return [
        tf.nest.map_structure(
            lambda *rows: np.concatenate(rows),
            *(b for part in parts for b in part[step * local : (step + 1) * local]),
        )
        for step in range(steps)
    ]


def same(first, second):
    tf.nest.assert_same_structure(first, second)
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)


WAYS = [(1, 2), (1, 4), (2, 1), (2, 2), (4, 1)]


def test_shares_of_images_of_one_size_are_the_batch():
    source, _ = fixed()
    views, partners = SimCLRViews(size=32), SameLabel().prepare(source)

    def make(share):
        # A quarter of the whole batch would be another program, with other bits.
        return pipeline.training_batches(
            source, views, 64, 3, start_step=1, partners=partners, share=share
        )

    whole = global_batches(make, 1, 1, 2)
    assert whole[0]["views"][0].shape == (64, 32, 32, 3)
    for pipelines, local in ((1, 4), (2, 2), (4, 1)):
        made = global_batches(make, pipelines, local, 2)
        for one, other in zip(whole, made, strict=True):
            same(one, other)


class Coloured(unreadable_test.Crops):
    """Crops, and what XLA compiles after them."""

    def recipes(self):
        return SimCLRViews(size=6, count=1).recipes()


@pytest.mark.slow
def test_shares_of_images_of_any_size_are_the_batch(tmp_path):
    # Some files are no images: another takes their place, whoever reads them.
    def make(share):
        source = unreadable_test.make(tmp_path)
        return pipeline.training_batches(
            source, Coloured(), 24, 3, max_corrupt=0.2, share=share
        )

    whole = global_batches(make, 1, 1, 2)
    # Units of 12 images: a worker's share is one, or half of one.
    for pipelines, local in ((2, 2), (4, 1)):
        made = global_batches(make, pipelines, local, 2)
        for one, other in zip(whole, made, strict=True):
            same(one, other)


def plain(images, seeds):
    del seeds
    return (tf.cast(images, tf.float32),)


@pytest.mark.parametrize(("pipelines", "local"), WAYS)
def test_an_epoch_of_all_workers_repeats_no_image(pipelines, local):
    source, _ = fixed()

    def make(share):
        return pipeline.training_batches(source, plain, 8, 3, share=share)

    batches = global_batches(make, pipelines, local, 12)
    index = np.concatenate([batch["index"] for batch in batches])
    # The rest, which fills no batch, is left out: 4 images, others each time.
    assert len(set(index)) == len(index) == 96


def test_a_worker_reads_its_own_images_alone():
    source, read = fixed(96)
    made = []
    for share in shares(2, 2):
        read.clear()
        batches = pipeline.training_batches(source, plain, 24, 3, share=share)
        index = {i for b in batches.take(8) for i in b["index"].numpy().tolist()}
        assert len(index) == 48
        assert index <= read
        made.append((index, set(read)))
    # Those of the next epoch, fetched ahead, are few.
    assert all(len(got - index) < 48 for index, got in made)
    assert not made[0][0] & made[1][0]


def test_a_late_start_of_a_share():
    source, _ = fixed()

    def make(share, start=0):
        return pipeline.training_batches(source, plain, 12, 3, start, share=share)

    share = Share(4, 2, 2)
    unbroken = list(make(share).take(40).as_numpy_iterator())
    late = list(make(share, 9).take(22).as_numpy_iterator())
    for one, other in zip(unbroken[18:], late, strict=True):
        same(one, other)


def test_a_share_counts_what_it_was_asked_for():
    source, _ = fixed()
    ask = pipeline._asked
    for share in (WHOLE, Share(2, 1, 1)):
        cut = share.cut(40, 64)
        seen = [
            int(b["seen"][0])
            for b in ask(source, 40, cut, 0, 0).take(6 * 40 // cut.piece)
        ]
        firsts = seen[:: cut.rows // cut.piece]
        rows = cut.rows
        assert firsts[:3] == [0, rows, 100 if share is WHOLE else 2 * rows]
        assert max(seen) == 100


def test_endless_data_say_so():
    # Else workers ask each other at every step.
    source, _ = fixed()
    made = pipeline.training_batches(source, plain, 10, 0, share=Share(2, 1, 1))
    assert int(made.cardinality()) == tf.data.INFINITE_CARDINALITY
    assert made.element_spec["views"][0].shape == (5, 40, 40, 3)
    assert dataclasses.asdict(WHOLE) == {"replicas": 1, "first": 0, "count": 1}


def test_a_batch_that_replicas_cannot_share():
    source, _ = fixed()
    with pytest.raises(ValueError, match="batch_size 10 cannot be shared equally by 4"):
        pipeline.training_batches(source, plain, 10, 0, share=Share(4, 0, 1))
