import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data import neighbours, partners, pipeline
from keras_ssl.data.neighbours import NearestNeighbours
from keras_ssl.data.partners import SameLabel
from keras_ssl.data.sources import Source
from tests.data import unreadable_test

COUNT, SIDE = 60, 4
LABELS = np.arange(COUNT) % 7 % 5
EITHER = pytest.mark.parametrize("fixed", [True, False])


def pictures(count=COUNT, side=SIDE):
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)


def source(fixed=True, labels=LABELS, count=COUNT):
    held = tf.constant(pictures(count))
    shape = (SIDE, SIDE, 3) if fixed else None
    classes = None if labels is None else tuple("abcde")
    return Source(
        "fake", "train", count, shape, lambda i: tf.gather(held, i), labels, classes
    )


def views(images, seeds):
    """Three views that tell what they show."""
    x = tf.cast(images, tf.float32)
    return x, x, x + tf.cast(seeds[:, :1, None, None] % 7, tf.float32)


def take(steps, part, fixed=True, start_step=0, batch_size=6, seed=0):
    given = source(fixed)
    made = pipeline.training_batches(
        given,
        views,
        batch_size,
        seed,
        start_step,
        partners=part and part.prepare(given),
    )
    return list(made.take(steps).as_numpy_iterator())


def brute_force(pixels, k):
    """Numbers of the nearest others, by whole numbers: nothing is rounded."""
    flat = pixels.reshape(len(pixels), -1).astype(np.int64)
    squares = np.square(flat[:, None] - flat[None]).sum(-1)
    np.fill_diagonal(squares, np.iinfo(np.int64).max)
    return np.argsort(squares, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("chunk", [64, 100, 299, 300, 1000])
def test_neighbours_are_those_of_brute_force(chunk):
    pixels = pictures(300).reshape(300, -1)
    got = neighbours.nearest(pixels, 5, chunk)
    np.testing.assert_array_equal(got, brute_force(pixels, 5))


@pytest.mark.parametrize("chunk", [4, 7, 9])
def test_equal_images_are_neighbours_but_none_is_its_own(chunk):
    # Three of each, of which the two others come first, the lower number before.
    pixels = np.repeat(pictures(3).reshape(3, -1), 3, axis=0)
    got = neighbours.nearest(pixels, 2, chunk)
    want = [[j for j in range(9) if j // 3 == i // 3 and j != i] for i in range(9)]
    np.testing.assert_array_equal(got, want)


def test_chunks_smaller_than_the_list_are_enough():
    pixels = pictures(9).reshape(9, -1)
    got = neighbours.nearest(pixels, 8, 2)
    np.testing.assert_array_equal(got, brute_force(pixels, 8))


def test_nothing_larger_than_a_chunk_is_compared(monkeypatch):
    seen = []

    def closer(best, who, rows, first, columns, at):
        seen.append((len(rows), len(columns)))
        return best, who

    monkeypatch.setattr(neighbours, "_closer", closer)
    neighbours.nearest(pictures(300).reshape(300, -1), 5, 64)
    assert max(max(pair) for pair in seen) == 64
    assert sum(a * b for a, b in seen) == 300**2


def test_tf32_is_off_while_neighbours_are_searched_and_then_as_before(monkeypatch):
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    during, before = [], enabled()

    def closer(best, who, *_):
        during.append(enabled())
        return best, who

    monkeypatch.setattr(neighbours, "_closer", closer)
    neighbours.nearest(pictures(9).reshape(9, -1), 2, 9)
    assert during == [False]
    assert enabled() == before


def test_images_are_compared_at_the_size_that_is_asked_for():
    # At 1 px only the mean counts; the detail says otherwise.
    means = np.array([10, 200, 12, 198], np.uint8)
    images = np.tile(means[:, None, None, None], [1, 2, 2, 3])
    images[[0, 1], 0] += 50
    images[[0, 1], 1] -= 10
    given = Source(
        "fake", "train", 4, (2, 2, 3), lambda i: tf.gather(tf.constant(images), i)
    )
    table = NearestNeighbours(k=1, size=1).prepare(given).table
    np.testing.assert_array_equal(table, [[2], [3], [0], [1]])


@EITHER
def test_a_batch_shows_images_then_their_partners(fixed):
    table, held = brute_force(pictures(), 5), pictures()
    for batch in take(10, NearestNeighbours(size=SIDE), fixed):
        assert set(batch) == {"views", "seed", "index", "partner", "neighbours"}
        index, partner = batch["index"], batch["partner"]
        assert (partner[:, None] == table[index]).any(axis=1).all()
        shift = (batch["seed"][:, 0] % 7)[:, None, None, None]
        for view, want in zip(
            batch["views"],
            (held[index], held[partner], held[partner] + shift),
            strict=True,
        ):
            np.testing.assert_array_equal(view, want)
        want = np.stack([table[index], table[partner]], axis=1)
        np.testing.assert_array_equal(batch["neighbours"], want)


@EITHER
def test_a_partner_shares_the_label(fixed):
    for batch in take(10, SameLabel(), fixed):
        index, partner = batch["index"], batch["partner"]
        np.testing.assert_array_equal(LABELS[partner], LABELS[index])
        np.testing.assert_array_equal(batch["label"], LABELS[index])
        assert (index != partner).all()
        np.testing.assert_array_equal(batch["views"][1], pictures()[partner])


def test_every_partner_is_chosen_equally_often():
    rng = np.random.default_rng(0)
    seeds = tf.constant(rng.integers(-(2**31), 2**31, (6000, 2)), tf.int32)
    index = tf.fill([6000], np.int64(8))
    for part, want in (
        (NearestNeighbours(size=SIDE), brute_force(pictures(), 5)[8]),
        (SameLabel(), [i for i in range(COUNT) if LABELS[i] == LABELS[8] and i != 8]),
    ):
        chosen = part.prepare(source()).choose(index, seeds).numpy()
        found, counts = np.unique(chosen, return_counts=True)
        np.testing.assert_array_equal(found, np.sort(want))
        # Chi-square: beyond 3 deviations in 1 of 1000 cases.
        expected = 6000 / len(want)
        freedom = len(want) - 1
        chi = ((counts - expected) ** 2 / expected).sum()
        assert chi < freedom + 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("part", [SameLabel(), NearestNeighbours(size=SIDE)])
@EITHER
def test_a_late_start_gives_the_batches_of_the_unbroken_run(part, fixed):
    whole = take(12, part, fixed)
    late = take(5, part, fixed, start_step=7)
    for one, other in zip(whole[7:], late, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_reading_one_by_one_gives_the_same():
    part = NearestNeighbours(size=SIDE)
    for together, alone in zip(take(4, part), take(4, part, False), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, together, alone)


def test_a_partner_changes_from_epoch_to_epoch_and_not_with_the_batch_size():
    part = NearestNeighbours(size=SIDE)

    def chosen(batch_size, start_step):
        batches = take(COUNT // batch_size, part, True, start_step, batch_size)
        return {
            int(i): int(p)
            for batch in batches
            for i, p in zip(batch["index"], batch["partner"], strict=True)
        }

    assert chosen(6, 0) == chosen(10, 0)
    assert chosen(6, 0) != chosen(6, 10)


def test_whoever_is_alone_is_its_own_partner():
    labels = np.arange(COUNT) % 5
    labels[labels == 4] = 3
    labels[11] = 4
    held = SameLabel().prepare(source(labels=labels))
    seeds = tf.constant([[1, 2], [3, 4]])
    got = held.choose(tf.constant([11, 11], tf.int64), seeds)
    np.testing.assert_array_equal(got, [11, 11])


def test_pick_stays_below_its_count(monkeypatch):
    top = tf.constant([[1 - 2.0**-24]])
    monkeypatch.setattr(partners.randomness, "uniforms", lambda *_: top)
    for count in (1, 3, 10, 1000, 2**24 - 1):
        assert int(partners.pick(tf.constant([[0, 0]]), count)[0]) == count - 1


def test_images_that_cannot_be_read_have_partners_that_can(tmp_path):
    given = unreadable_test.make(tmp_path)
    held = NearestNeighbours(k=2, size=4).prepare(given, 0.2)
    broken = list(unreadable_test.BROKEN)
    fine = np.setdiff1d(np.arange(given.count), broken)
    assert np.isin(held.table.numpy()[fine], fine).all()
    np.testing.assert_array_equal(
        held.table.numpy()[broken], np.tile(np.array(broken)[:, None], [1, 2])
    )
    made = pipeline.training_batches(given, unreadable_test.Crops(), 5, 0, 0, 0.2, held)
    for batch in made.take(10).as_numpy_iterator():
        assert np.isin(batch["index"], fine).all()
        assert np.isin(batch["partner"], fine).all()
        # Images are of one colour, which says who they are; JPEG rounds it.
        for view, shown in zip(batch["views"], ("index", "partner"), strict=False):
            red = view[:, 2, 2, 0] * 255
            np.testing.assert_allclose(red, 8 * batch[shown], atol=2)


def test_too_many_that_cannot_be_read_end_the_search(tmp_path):
    given = unreadable_test.make(tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        NearestNeighbours(k=2, size=4).prepare(given, 0.05)


def test_a_partner_that_cannot_be_read_is_left_for_the_image_itself(tmp_path):
    given = unreadable_test.make(tmp_path)

    class Bad:
        """Pairs everyone with an image that is broken."""

        def choose(self, index, seeds):
            del seeds
            return tf.fill(tf.shape(index), np.int64(unreadable_test.BROKEN[0]))

        def facts(self, index, partner):
            del index, partner
            return {}

    made = pipeline.training_batches(
        given, unreadable_test.Crops(), 5, 0, 0, 0.2, Bad()
    )
    for batch in made.take(5).as_numpy_iterator():
        np.testing.assert_array_equal(batch["partner"], batch["index"])


@EITHER
def test_a_single_view_has_no_place_for_a_partner(fixed):
    given = source(fixed)
    with pytest.raises(ValueError, match=r"shown by the second view.* makes 1"):
        pipeline.training_batches(
            given,
            lambda images, seeds: views(images, seeds)[:1],
            6,
            0,
            partners=SameLabel().prepare(given),
        )


def test_labels_are_needed_at_once():
    with pytest.raises(ValueError, match="SameLabel needs labels"):
        SameLabel().prepare(source(labels=None))
    labels = LABELS.copy()
    labels[:2] = -1
    with pytest.raises(ValueError, match="2 of 60 images of 'fake'"):
        SameLabel().prepare(source(labels=labels))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "at least 1, got 0, 28 and 2048"),
        ({"size": 0}, "at least 1"),
        ({"chunk": 0}, "at least 1"),
    ],
)
def test_numbers_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        NearestNeighbours(**options)


def test_neighbours_need_more_images():
    few = dataclasses.replace(source(count=5), labels=None)
    with pytest.raises(ValueError, match="more than 5 images; 'fake'"):
        NearestNeighbours(size=SIDE).prepare(few)
