import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.views import Views
from keras_ssl.data import pipeline, sources
from keras_ssl.data.unreadable import Unreadable

COUNT, BROKEN = 25, (3, 11, 20)


@dataclasses.dataclass(frozen=True)
class Half:
    """A first step that is no crop."""

    draws = 0

    def __call__(self, images, uniforms):
        del uniforms
        return tf.image.resize(images, [6, 6])


class Crops(Views):
    def recipes(self):
        # A single step each, so that nothing is compiled.
        return ((RandomResizedCrop(6),), (RandomResizedCrop(6),), (Half(),))


def plain(images, seeds):
    """Views that know nothing of files."""
    del seeds
    return (pipeline.square(images, 6),)


def make(folder, count=COUNT, broken=BROKEN):
    """Numbered JPEG and PNG files, some of them no images; `index` is in the red."""
    for i in range(count):
        size = [12 + i % 5, 30 - i % 7]
        pixels = tf.fill([*size, 3], tf.cast(8 * i, tf.uint8))
        data = tf.io.encode_png(pixels) if i % 2 else tf.io.encode_jpeg(pixels)
        data = data.numpy()
        if i in broken:
            data = (b"", b"no image", data[: len(data) // 2])[i % 3]
        (folder / f"{i:03}.jpg").write_bytes(data)
    return sources.open_source(f"folder:{folder}")


@pytest.fixture
def source(tmp_path):
    return make(tmp_path)


def take(source, steps, views=None, start_step=0, batch_size=6, most=0.2):
    made = pipeline.training_batches(
        source, views or Crops(), batch_size, 5, start_step, most
    )
    return list(made.take(steps).as_numpy_iterator())


def equal(first, second):
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("views", [None, plain])
def test_others_take_the_place_of_what_cannot_be_read(source, views, capsys):
    batches = take(source, 8, views)
    intact = take(make_intact(source), 8, views)
    replaced = 0
    for batch, want in zip(batches, intact, strict=True):
        np.testing.assert_array_equal(batch["seed"], want["seed"])
        broken = np.isin(want["index"], BROKEN)
        replaced += broken.sum()
        assert not np.isin(batch["index"], BROKEN).any()
        np.testing.assert_array_equal(batch["index"][~broken], want["index"][~broken])
        for view, other in zip(batch["views"], want["views"], strict=True):
            np.testing.assert_allclose(view[~broken], other[~broken], atol=1e-6)
            # The index tells which image it is.
            values = view.mean((1, 2, 3)) * 255 / 8
            np.testing.assert_allclose(values, batch["index"], atol=0.2)
    assert replaced in (4, 5, 6)  # Three an epoch, which leaves out one image.
    said = capsys.readouterr().err
    for i in BROKEN:
        assert said.count(f"{i:03}.jpg") == 1
    assert source.unreadable.count == 3


def make_intact(source):
    """The same numbers with no file broken."""
    folder = pathlib.Path(source.where(0)).parent / "intact"
    folder.mkdir()
    return make(folder, broken=())


@pytest.mark.parametrize("start", [1, 3, 4, 6])
def test_a_late_start_gives_the_batches_of_the_unbroken_run(tmp_path, start):
    whole = take(make(tmp_path), 9)
    for one, other in zip(
        whole[start:], take(make(tmp_path), 9 - start, start_step=start), strict=True
    ):
        equal(one, other)


def test_what_was_read_before_changes_nothing(source):
    first = take(source, 8)
    for one, other in zip(first, take(source, 8), strict=True):
        equal(one, other)


@pytest.mark.parametrize(
    ("batch_size", "count"), [(5, 25), (7, 25), (24, 25), (20, 60)]
)
def test_batches_of_any_size(tmp_path, batch_size, count):
    source = make(tmp_path, count)
    for batch in take(source, 2, plain, batch_size=batch_size):
        assert batch["index"].shape == (batch_size,)
        assert batch["views"][0].shape == (batch_size, 6, 6, 3)
        assert not np.isin(batch["index"], BROKEN).any()


def ends(source, **options):
    words = "can(not)? be read"
    with (
        pytest.raises(ValueError, match=words) as caught,
        source.unreadable.explained(),
    ):
        take(source, 9, plain, **options)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_too_many_end_the_run(source):
    text = ends(source, most=0.05)
    assert "3 of " in text
    assert "images cannot be read, such as " in text
    assert "At most 5.00% may be: mend or remove them, or raise train.max_cor" in text


@pytest.mark.parametrize("most", [0.01, 1.0])
def test_none_that_can_be_read_ends_the_run(tmp_path, most):
    text = ends(make(tmp_path, 9, range(9)), most=most)
    assert str(tmp_path) in text
    assert text.startswith("None of 9 images can be read, such as ") == (most == 1)


def test_one_that_can_be_read_is_enough_if_one_says_so(tmp_path):
    source = make(tmp_path, 9, range(1, 9))
    for batch in take(source, 3, plain, most=1.0):
        np.testing.assert_array_equal(batch["index"], 0)
    assert source.unreadable.count == 8


def test_evaluation_leaves_out_what_cannot_be_read(source):
    batches = list(pipeline.numbered_batches(source, 4, 10, max_corrupt=0.2))
    index = np.concatenate([index for index, _ in batches])
    np.testing.assert_array_equal(index, np.setdiff1d(np.arange(COUNT), BROKEN))
    for numbers, images in batches:
        values = images.numpy().mean((1, 2, 3)) * 255 / 8
        np.testing.assert_allclose(values, numbers, atol=0.2)
    alone = list(pipeline.evaluation_batches(source, 4, 10, max_corrupt=0.2))
    assert sum(map(len, alone)) == COUNT - 3
    assert source.unreadable.count == 3
    with pytest.raises(
        ValueError, match=r"3 of 25 images cannot be read, such as .*003"
    ):
        list(pipeline.evaluation_batches(source, 4, 10))


def test_a_fingerprint_survives(source):
    assert source.fingerprint() == source.fingerprint()
    assert source.try_read(3) is None
    assert source.try_read(4).shape == (16, 26, 3)
    assert 3 in source.unreadable.places


def test_counts_and_limits(capsys):
    counts = Unreadable()
    for i in range(15):
        counts.add(i % 10, f"place {i % 10}")
    assert counts.count == 10
    assert capsys.readouterr().err.count("place 3") == 1
    counts.check(0, 1000, 0.01)  # One in a hundred of all, wherever they are.
    counts.check(1000, 10**6, 0.01)
    counts.check(20, 10**6, 0.01)  # Too few were seen.
    with pytest.raises(ValueError, match="10 of 999 images"):
        counts.check(999, 999, 0.009)
    with pytest.raises(
        ValueError, match=r"10 of 1000 images.*place 0, place 1, place 2"
    ):
        counts.check(1000, 10**6, 0.0099 - 1e-3)
    for i in range(10, 1000):
        counts.add(i, f"place {i}")
    assert "counted only" in capsys.readouterr().err
    with pytest.raises(ValueError, match="None of 1000 images can be read"):
        counts.check(1000, 10**6, 1.0)
