import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data import pipeline, sources
from keras_ssl.data.sources import Source


def pictures(count, height=4, width=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), np.uint8)


def source(count=10, height=4, width=4, fixed=True):
    """Random pictures, read in one go or, as if sizes differed, one by one."""
    held = tf.constant(pictures(count, height, width))
    shape = (height, width, 3) if fixed else None
    return Source("fake", "train", count, shape, lambda index: tf.gather(held, index))


def views(images, seeds):
    """The images, and the images shifted by their seeds."""
    x = tf.cast(images, tf.float32) / 255.0
    return x, x + tf.cast(seeds[:, :1, None, None] % 7, tf.float32)


def take(steps, batch_size=4, seed=0, start_step=0, **options):
    made = pipeline.training_batches(
        source(**options), views, batch_size, seed, start_step
    )
    return list(made.take(steps).as_numpy_iterator())


def joined(batches, name):
    return np.concatenate([batch[name] for batch in batches])


def equal(first, second):
    tf.nest.assert_same_structure(first, second)
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)


EITHER = pytest.mark.parametrize("fixed", [True, False])


@EITHER
def test_batches_hold_views_of_the_images_they_name(fixed):
    for batch in take(5, fixed=fixed):
        assert set(batch) == {"views", "seed", "index"}
        assert batch["index"].shape == (4,)
        assert batch["seed"].shape == (4, 2)
        want = pictures(10)[batch["index"]] / np.float32(255)
        np.testing.assert_allclose(batch["views"][0], want, rtol=1e-6)
        shift = (batch["seed"][:, 0] % 7)[:, None, None, None]
        np.testing.assert_allclose(batch["views"][1], want + shift, rtol=1e-6)


def test_reading_one_by_one_gives_the_same():
    for together, alone in zip(take(5), take(5, fixed=False), strict=True):
        equal(together, alone)


@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (10, 3), (7, 7), (5, 1)])
def test_an_epoch_repeats_no_image(count, batch_size):
    steps = count // batch_size
    batches = take(4 * steps, batch_size, count=count)
    epochs = [
        joined(batches[i : i + steps], "index") for i in range(0, 4 * steps, steps)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == steps * batch_size
        assert set(epoch) <= set(range(count))
    assert len({tuple(epoch) for epoch in epochs}) == 4 or count < 3
    assert set(np.concatenate(epochs)) == set(range(count))


def test_orders_are_uniform():
    # Each image stands at each place equally often: chi-square with 9 degrees of
    # freedom stays below 30 in all but 1 of 2000 cases.
    batches = take(200, 5, count=10)
    first = np.array([batch["index"][0] for batch in batches[::2]])
    counts = np.bincount(first, minlength=10)
    assert ((counts - 10) ** 2 / 10).sum() < 30


@EITHER
@pytest.mark.parametrize("start", [1, 2, 3, 7])
def test_a_late_start_gives_the_batches_of_the_unbroken_run(fixed, start):
    whole, late = take(9, fixed=fixed), take(9 - start, start_step=start, fixed=fixed)
    for one, other in zip(whole[start:], late, strict=True):
        equal(one, other)


def test_seeds_of_the_run_give_other_orders_and_randomness():
    a, again, b = take(4, seed=0), take(4, seed=0), take(4, seed=1)
    equal(a, again)
    assert not np.array_equal(joined(a, "index"), joined(b, "index"))
    assert not set(map(tuple, joined(a, "seed"))) & set(map(tuple, joined(b, "seed")))


def test_every_example_of_every_epoch_has_its_own_seed():
    batches = take(60, 5, count=10)  # 30 epochs.
    seeds = [tuple(seed) for seed in joined(batches, "seed")]
    assert len(set(seeds)) == len(seeds) == 300


def test_seeds_do_not_depend_on_the_batch_size():
    def by_image(batch_size):
        batches = take(12 // batch_size, batch_size, count=12)
        pairs = zip(joined(batches, "index"), joined(batches, "seed"), strict=True)
        return {int(index): tuple(seed) for index, seed in pairs}

    assert by_image(3) == by_image(4) == by_image(12)
    # They come from the image, not from its place in the order.
    keys = {seed[1] ^ index for index, seed in by_image(4).items()}
    assert len(keys) == 1


def test_a_batch_must_fit():
    assert pipeline.steps_per_epoch(source(10), 3) == 3
    assert pipeline.steps_per_epoch(source(10), 10) == 1
    words = r"batch_size 11 is more than the 10 images of 'fake' \(split 'train'\)"
    for function in (
        lambda: pipeline.steps_per_epoch(source(10), 11),
        lambda: pipeline.training_batches(source(10), views, 11, 0),
    ):
        with pytest.raises(ValueError, match=words):
            function()


@EITHER
@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 2]), (20, [10])])
def test_evaluation_sees_every_image_in_order(fixed, batch_size, sizes):
    got = list(pipeline.evaluation_batches(source(fixed=fixed), 4, batch_size))
    assert [len(batch) for batch in got] == sizes
    assert got[0].dtype == tf.float32
    want = pictures(10) / np.float32(255)
    np.testing.assert_allclose(np.concatenate(got), want, rtol=1e-6)


@EITHER
@pytest.mark.parametrize(
    ("limit", "index"), [(4, [0, 3, 6, 9]), (1, [0]), (10, range(10)), (99, range(10))]
)
def test_evaluation_of_a_part_is_spread_evenly(fixed, limit, index):
    made = pipeline.evaluation_batches(source(fixed=fixed), 4, 3, limit)
    want = pictures(10)[list(index)] / np.float32(255)
    np.testing.assert_allclose(np.concatenate(list(made)), want, rtol=1e-6)
    np.testing.assert_array_equal(pipeline.subset(10, limit), index)


def test_a_part_has_no_image_twice():
    for count, limit in itertools.product((1, 2, 9, 100), (1, 2, 8, 99, 200)):
        got = pipeline.subset(count, limit)
        assert len(set(got)) == len(got) == min(count, limit)
        assert got.max() < count


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 5), (4, 9), (1, 1), (1, 6)])
@pytest.mark.parametrize("static", [True, False])
def test_square_is_the_resized_middle(height, width, size, static):
    images = pictures(2, height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = images[:, top : top + side, left : left + side].astype(np.float32) / 255
    want = tf.image.resize(middle, [size, size], antialias=True)
    spec = tf.TensorSpec(images.shape if static else [None, None, None, 3], tf.uint8)
    function = tf.function(lambda x: pipeline.square(x, size), input_signature=[spec])
    got = function(images)
    assert function.get_concrete_function().output_shapes[1:] == (size, size, 3)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(pipeline.square(images, size), got)


@pytest.mark.parametrize("shape", [(4, 4), (4, 7), (9, 4)])
def test_square_leaves_images_of_the_right_size_bit_by_bit(shape):
    x = np.random.default_rng(0).uniform(size=(3, *shape, 3)).astype(np.float32)
    top, left = (shape[0] - 4) // 2, (shape[1] - 4) // 2
    want = x[:, top : top + 4, left : left + 4]
    np.testing.assert_array_equal(pipeline.square(x, 4), want)
    spec = [tf.TensorSpec([None, None, None, 3], tf.float32)]
    unknown = tf.function(lambda x: pipeline.square(x, 4), input_signature=spec)
    np.testing.assert_array_equal(unknown(x), want)


@pytest.mark.parametrize("size", [4, 3])
def test_square_takes_bytes_and_floats(size):
    images = pictures(2, 5, 4)
    floats = tf.image.convert_image_dtype(images, tf.float32)
    got = pipeline.square(images, size)
    np.testing.assert_array_equal(got, pipeline.square(floats, size))
    assert got.dtype == tf.float32
    assert 0 <= np.min(got) < np.max(got) <= 1


def test_images_of_differing_sizes(tmp_path):
    for i, (height, width) in enumerate([(5, 9), (12, 4), (6, 6), (1, 1)]):
        data = tf.io.encode_png(tf.fill([height, width, 3], tf.cast(50 * i, tf.uint8)))
        (tmp_path / f"{i}.png").write_bytes(data.numpy())
    folder = sources.open_source(f"folder:{tmp_path}")

    def resized(images, seeds):
        del seeds
        return (pipeline.square(images, 4),)

    made = pipeline.training_batches(folder, resized, 2, 0)
    for batch in made.take(4):
        assert batch["views"][0].shape == (2, 4, 4, 3)
        value = 50 * batch["index"].numpy() / 255
        np.testing.assert_allclose(batch["views"][0][:, 0, 0, 0], value, rtol=1e-6)
    got = np.concatenate(list(pipeline.evaluation_batches(folder, 3, 3)))
    np.testing.assert_allclose(got[:, 1, 1, 1], [0, 50 / 255, 100 / 255, 150 / 255])


@EITHER
def test_starting_late_reads_none_of_the_images_before(fixed):
    held, seen = tf.constant(pictures(4096, 2, 2)), []

    def read(index):
        def count(index):
            seen.extend(np.ravel(index))
            return index

        counted = tf.numpy_function(count, [index], tf.int64)
        return tf.gather(held, tf.ensure_shape(counted, index.shape))

    start, batch_size = 200, 4
    made = Source("fake", "train", 4096, (2, 2, 3) if fixed else None, read)
    before = pipeline.training_batches(made, views, batch_size, 0).take(start)
    passed = joined(before.as_numpy_iterator(), "index")
    assert set(passed) <= set(seen)
    seen.clear()
    late = pipeline.training_batches(made, views, batch_size, 0, start)
    shown = joined(late.take(3).as_numpy_iterator(), "index")
    assert set(shown) <= set(seen)
    # What is fetched ahead is of the same epoch: no image of the steps before.
    assert not set(passed) & set(seen)
    assert len(seen) < batch_size * start / 2
