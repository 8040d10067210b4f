"""Each mistake in an evaluation gets one clear sentence, early, and leaves nothing."""

import pytest
import tensorflow as tf

from keras_ssl.core import config, registry, run_dir
from keras_ssl.encoders.audio import AudioEncoder
from keras_ssl.encoders.vit import ViT
from keras_ssl.evaluation.segmentation import Segmentation
from keras_ssl.evaluation.svm import SVM
from keras_ssl.runs import encoders, evaluate
from tests import harness
from tests.made_run import DATA, made_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    registry.load()
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Images in folders: with and without labels, and with other classes in test."""
    root = tmp_path_factory.mktemp("folders")
    image = tf.io.encode_png(harness.images(1, 32)[0])
    for name in ("cat", "dog"):
        for split in ("train", "test", "other"):
            kind = "wolf" if (split, name) == ("other", "dog") else name
            tf.io.write_file(f"{root}/{split}/{kind}/0.png", image)
    return root


def said(run, monkeypatch, *words, **arguments):
    """What is said of a mistake; nothing may be encoded or written."""

    def encoded(*_, **__):
        raise AssertionError("too late: an encoder is loaded already")

    monkeypatch.setattr(encoders, "load", encoded)
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        evaluate.evaluate(run, **arguments)
    assert not (run / run_dir.EVALUATIONS).exists()
    text = config.explain(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_a_source_without_labels(run, folders, monkeypatch):
    said(run, monkeypatch, "needs labels", data=f"folder:{folders}")


def test_other_classes_in_test(run, folders, monkeypatch):
    name = f"folder:{folders}?labels=folders"
    words = ("cat, dog (2)", "cat, wolf (2)", "must have the same")
    said(run, monkeypatch, *words, data=name, test_split="other")


def test_splits_that_share_images(run, monkeypatch):
    words = (
        "'train' and 'train[:10%]'",
        "share images",
        "'train[90%:]'",
    )
    said(run, monkeypatch, *words, train_split="train", test_split="train[:10%]")


def test_a_set_that_is_not_there(run, tmp_path, monkeypatch):
    words = ("TFDS has no data set 'no_such_set'", str(tmp_path), "--data_dir")
    said(run, monkeypatch, *words, data="tfds:no_such_set", data_dir=str(tmp_path))


def test_an_encoder_of_recordings(tmp_path, monkeypatch):
    encoder = AudioEncoder(width=8)
    heard = made_run(tmp_path / "heard", encoder, size=4096, data=DATA)
    words = ("takes audio data", "'embedded:32' is image data")
    said(heard, monkeypatch, *words)


def test_patches_that_do_not_divide_the_image(tmp_path, monkeypatch):
    encoder = ViT(patch_size=8, width=24, depth=1, heads=3, image_size=32)
    cut = made_run(tmp_path / "cut", encoder)
    words = ("trained on 32", "image_size of 36", "patches of 8 px")
    said(cut, monkeypatch, *words, image_size=36)
    said(cut, monkeypatch, "at least 1, got -1", image_size=-1)


def test_what_it_was_pretrained_on_is_not_known(tmp_path, monkeypatch):
    released = made_run(tmp_path / "released", data={})
    words = ("does not say what it was pretrained on", "Leave out --leakage")
    said(released, monkeypatch, *words, data="embedded:32", leakage=True)
    said(released, monkeypatch, "no data are known", leakage=True)


def test_no_such_subject_evaluation_or_number_of_seeds(run, monkeypatch):
    said(run, monkeypatch, "No subject 'encodr'", subjects=["encodr"])
    said(run, monkeypatch, "Did you mean 'svm'", evaluations=["smv"])
    said(run, monkeypatch, "seeds must be at least 1", seeds=0)


def test_a_finished_evaluation_is_written(run):
    rows = evaluate.evaluate(
        run,
        [SVM(costs=(1.0,)), "knn"],
        train_split="train[:64]",
        test_split="test[:32]",
        leakage=True,
    )
    assert [row["evaluation"] for row in rows] == ["svm", "knn"]
    assert rows == run_dir.read_lines(run / run_dir.EVALUATIONS)
    assert rows[0]["leakage"]["near_duplicates"] == 0
    (run / run_dir.EVALUATIONS).unlink()


def test_a_dense_evaluation_needs_a_truth(run, monkeypatch):
    words = ("segmentation needs the mask", "'embedded:32' has none", "?truth=mask")
    few = {"train_split": "train[:16]", "test_split": "test[:16]"}
    said(run, monkeypatch, *words, evaluations=["segmentation"], **few)
    words = ("depth needs the depth", "has mask instead")
    mask = "embedded:32?truth=mask"
    said(run, monkeypatch, *words, evaluations=["depth"], data=mask, **few)


def test_a_finished_dense_evaluation_is_written(run):
    (row,) = evaluate.evaluate(
        run,
        [Segmentation(steps=2, batch_size=8)],
        ["random_init"],
        "embedded:32?truth=mask",
        train_split="train[:16]",
        test_split="test[:16]",
        leakage=True,
    )
    assert (row["score"], row["leakage"]["of"]) == ("miou", 16)
    assert row["protocol"]["train"]["data"] == "embedded:32?truth=mask"
    assert "stretched" in row["protocol"]["preprocessing"]
    (run / run_dir.EVALUATIONS).unlink()
