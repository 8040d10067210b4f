"""Pictures of a method: drawn, of the same images, and without a trace in its state."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks.method_pictures import MethodPictures, sample
from keras_ssl.core import registry, run_dir
from keras_ssl.data import pipeline, sources
from tests import harness


@pytest.fixture(scope="module")
def source():
    return sources.open_source("embedded:32", "test[:64]")


def bench(name):
    entry = next(e for e in registry.entries("method") if e.name == name)
    return harness.Bench(entry)


def drawn(name, source, folder, **options):
    made = bench(name)
    writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
    callback = MethodPictures(folder, source, made.views, 0, writer, **options)
    callback.set_model(made.method)
    callback.set_params({"epochs": 8})
    return callback, made.method


def test_a_sheet_and_nothing_else_changes(source, tmp_path):
    callback, method = drawn("MAE", source, tmp_path)
    before = [v.numpy() for v in method.variables]
    callback.draw()
    for old, variable in zip(before, method.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert (tmp_path / run_dir.PICTURES).stat().st_size > 1000


def test_batch_norms_do_not_remember_a_drawing(source):
    made = bench("RotNet")
    before = [v.numpy() for v in made.method.variables]
    made.method.pictures = lambda outputs: {"logits": outputs["logits"]}
    batch = sample(source, made.views, 0, 4)
    assert batch["views"][0].shape == (4, 32, 32, 3)
    assert made.method.draw(batch)["logits"].shape == (4, 4, 4)
    for old, variable in zip(before, made.method.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_methods_without_pictures_leave_none(source, tmp_path):
    callback, _ = drawn("SimCLR", source, tmp_path)
    callback.draw()
    assert not (tmp_path / run_dir.PICTURES).exists()


def test_a_method_may_have_nothing_to_draw(source, tmp_path):
    # Such as the attention of an encoder that has none.
    callback, method = drawn("MAE", source, tmp_path)
    method.pictures = lambda outputs: {}
    callback.draw()
    assert not (tmp_path / run_dir.PICTURES).exists()


@pytest.mark.parametrize(("times", "want"), [(4, [2, 4, 6, 8]), (100, [*range(1, 9)])])
def test_draws_about_as_often_as_said(source, tmp_path, times, want):
    callback = MethodPictures(tmp_path, source, None, 0, None, times)
    callback.set_model(keras.Sequential())
    callback.set_params({"epochs": 8})
    seen = []
    callback.draw = lambda: seen.append(1)
    at = []
    for epoch in range(8):
        before = len(seen)
        callback.on_epoch_end(epoch)
        if len(seen) > before:
            at.append(epoch + 1)
    assert at == want


def test_images_rendered_at_once_are_those_rendered_one_by_one(source):
    views = bench("MAE").views
    at_once = sample(source, views, 5, 4)
    sizes = dataclasses.replace(
        source, shape=None, read=lambda i: source.read(i[None])[0]
    )
    one_by_one = sample(sizes, views, 5, 4)
    places = pipeline.subset(source.count, 4)
    assert at_once["seed"].numpy().tolist() == [[5, i] for i in places]
    for name in ("seed", "index"):
        np.testing.assert_array_equal(at_once[name], one_by_one[name])
    np.testing.assert_allclose(
        at_once["views"][0], one_by_one["views"][0], rtol=0, atol=1e-5
    )
