"""Pictures of features: of which images, how often, and that nothing else changes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks import feature_pictures, retrievals, sheets, spectrum
from keras_ssl.callbacks.feature_pictures import FeaturePictures
from keras_ssl.core import registry, run_dir
from keras_ssl.data.sources import Source
from tests import harness

COUNT = 40
PIXELS = harness.images(COUNT)
LABELS = np.arange(COUNT) % 3
SOURCE = Source(
    "fake",
    "train",
    COUNT,
    (32, 32, 3),
    lambda i: tf.gather(PIXELS, i),
    LABELS,
    ("a", "b", "c"),
)


def broken(index):
    """One image in four cannot be read."""
    index = tf.cast(index, tf.int32)
    with tf.control_dependencies([tf.debugging.assert_none_equal(index % 4, 1)]):
        return tf.gather(PIXELS, index)


@pytest.fixture(scope="module")
def mae():
    entry = next(e for e in registry.entries("method") if e.name == "MAE")
    return harness.Bench(entry).method


def tags(folder):
    (events,) = (folder / run_dir.TENSORBOARD).glob("events*")
    return {
        value.tag: tf.make_ndarray(value.tensor)
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }


def drawn(method, folder, source, **options):
    writer = tf.summary.create_file_writer(str(folder / run_dir.TENSORBOARD))
    callback = FeaturePictures(**options)
    callback.set_model(method)
    callback.open(folder, source, 32, 16, writer)
    callback.draw(last=True)
    writer.close()
    return tags(folder)


def test_all_is_drawn_and_nothing_changes(mae, tmp_path):
    before = [v.numpy() for v in mae.variables]
    drawings = np.random.get_state()[1].copy()
    draw = tf.random.get_global_generator().state.numpy()
    found = drawn(mae, tmp_path, SOURCE, images=30)
    assert {"retrievals", "spectrum", "attention_maps", "spectrum/rank"} <= set(found)
    for old, variable in zip(before, mae.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    np.testing.assert_array_equal(np.random.get_state()[1], drawings)
    np.testing.assert_array_equal(tf.random.get_global_generator().state, draw)
    again = drawn(mae, tmp_path / "again", SOURCE, images=30)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    rows = (tmp_path / run_dir.TENSORBOARD / "projector" / "metadata.tsv").read_text()
    # Of each image its own label: its number says which that is.
    table = [row.split("\t") for row in rows.splitlines()[1:]]
    assert [label for label, i in table] == ["abc"[int(i) % 3] for _, i in table]
    assert sorted(int(i) for _, i in table) == [*range(COUNT)]


def test_images_that_cannot_be_read_are_left_out_and_not_counted(mae, tmp_path):
    source = dataclasses.replace(SOURCE, shape=None, read=broken)
    assert "retrievals" in drawn(mae, tmp_path, source)
    rows = (tmp_path / run_dir.TENSORBOARD / "projector" / "metadata.tsv").read_text()
    numbers = {int(row.split("\t")[1]) for row in rows.splitlines()[1:]}
    assert numbers == {i for i in range(COUNT) if i % 4 != 1}
    assert source.unreadable.count == 0


def test_sets_may_be_tiny_without_labels_or_unreadable(mae, tmp_path):
    bare = dataclasses.replace(SOURCE, labels=None, classes=None)
    assert "retrievals" in drawn(mae, tmp_path / "bare", bare)
    rows = tmp_path / "bare" / run_dir.TENSORBOARD / "projector" / "metadata.tsv"
    assert rows.read_text().startswith("image ")
    one = dataclasses.replace(SOURCE, count=1, labels=LABELS[:1])
    assert "retrievals" not in drawn(mae, tmp_path / "one", one)
    several = np.where(np.eye(3, dtype=int)[LABELS] > 0, 1, -1)
    several[:, 0] = 1
    signs = dataclasses.replace(SOURCE, labels=several, multi_label=True)
    drawn(mae, tmp_path / "signs", signs)
    rows = tmp_path / "signs" / run_dir.TENSORBOARD / "projector" / "metadata.tsv"
    words = {row.split("\t")[0] for row in rows.read_text().splitlines()[1:]}
    assert words == {"a", "a, b", "a, c"}

    def never(index):
        with tf.control_dependencies([tf.debugging.assert_none_equal(index, index)]):
            return PIXELS[0]

    unread = dataclasses.replace(SOURCE, shape=None, read=never)
    assert drawn(mae, tmp_path / "never", unread) == {}


def test_how_often(tmp_path):
    def period(epochs, images_in_epoch, count=50_000, **options):
        callback = FeaturePictures(**options)
        callback.source = dataclasses.replace(SOURCE, count=count)
        callback.batch_size = 100
        return callback.period(epochs, images_in_epoch // 100)

    assert period(80, 50_000) == 10
    # 512 images, of half the cost, are 1 % of 25,600.
    assert period(8, 10_000) == 3
    assert period(8, 10_000, images=100) == 1
    assert period(8, 100, count=64) == 32
    with pytest.raises(ValueError, match="images at least 2; got 8, 2000, 8, 8 and 1"):
        FeaturePictures(images=1)


def test_nothing_at_all_on_demand(mae, tmp_path, monkeypatch):
    callback = FeaturePictures(times=0)
    callback.set_model(mae)
    monkeypatch.setattr(callback, "draw", lambda last: 1 / 0)
    callback.set_params({"epochs": 1, "steps": 1})
    callback.on_train_begin()
    callback.on_epoch_end(0)


def test_retrievals_are_the_most_similar_others():
    angles = np.linspace(0, 1, 12) ** 2
    features = np.column_stack([np.cos(angles), np.sin(angles)]) * 3.0
    found = retrievals.retrieve(features, [0, 6], 3)
    # Those that ask are not among those that are found.
    assert found.indices.tolist() == [[1, 2, 3], [5, 7, 4]]
    np.testing.assert_allclose(
        found.similarity[0], np.cos(angles[1:4]), rtol=1e-5, atol=1e-6
    )
    cells = retrievals.rows([PIXELS[0]] * 12, found, np.arange(12) % 2, ("x", "y"))
    assert [*cells] == ["1: x", "2: x"]
    colors = [cell.color for cell in cells["1: x"]]
    assert colors == [sheets.BLUE, sheets.RED, sheets.GREEN, sheets.RED]
    asked = retrievals.chosen(100, 8)
    assert len({*asked}) == 8
    assert asked.tolist() == retrievals.chosen(100, 8).tolist()


def test_spectrum_against_the_covariance():
    x = np.random.default_rng(0).normal(size=(50, 8)) * np.logspace(0, -2, 8)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    want = np.sqrt(np.linalg.eigvalsh(np.cov(unit.T, bias=True))[::-1])
    values = spectrum.spectrum(x)
    np.testing.assert_allclose(values, want, rtol=1e-4)
    # The smaller product of the two gives the same.
    wide = spectrum.spectrum(x[:6])
    assert wide.shape == (5,)
    np.testing.assert_allclose(
        np.square(wide).sum(), np.var(unit[:6], axis=0).sum(), rtol=1e-5
    )
    even = spectrum.summary(np.ones(10))
    assert even["rank"] == pytest.approx(10)
    assert even["largest"] == pytest.approx(0.1)
    assert spectrum.summary(spectrum.spectrum(np.ones((5, 4))))["std"] < 1e-3


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((3, 5, 3), np.uint8),
        np.full((300, 200, 1), 0.5),
        np.full((2, 2, 3), np.nan),
        np.zeros(1000, np.int16),
        np.sin(np.arange(7.0)),
    ],
)
def test_any_picture_fits_into_a_square(picture):
    found = sheets.fitted(picture, 20)
    assert (found.shape, found.dtype) == ((20, 20, 3), np.uint8)
    sheet = sheets.sheet({"name": [picture, sheets.Cell(picture, "0.12", sheets.RED)]})
    assert (sheet == sheets.RED).all(axis=2).any()
    assert tf.io.decode_png(sheets.png(sheet)).shape == sheet.shape


def test_words_of_every_picture():
    # One that has none would end a run at its first drawing.
    assert set(feature_pictures._WORDS) == {"retrievals", "spectrum", "attention_maps"}
