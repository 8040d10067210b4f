import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import open_source
from keras_ssl.data.truth import IGNORED
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.evaluation import masks, results
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.knn import KNN
from keras_ssl.evaluation.raw import raw_pixels
from keras_ssl.evaluation.segmentation import Segmentation
from keras_ssl.evaluation.segmentation_fcn import SegmentationFCN
from tests.evaluation import places

TRY = Segmentation(steps=60, batch_size=8, rate=0.5)


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    made = SmallResNet((1, 1), (8, 16), stem_width=4)
    made(tf.zeros([1, places.SIZE, places.SIZE, 3]))
    return Frozen(made)


def test_what_is_easily_told_apart_is_learned_and_the_encoder_stays(encoder):
    data = places.data(classes=("dark", "bright"))
    before = [v.numpy() for v in encoder.encoder.variables]
    row = results.result(TRY, "encoder", encoder, data, 0)
    assert row["miou"] > 0.8
    assert row["miou"] == pytest.approx((row["iou_dark"] + row["iou_bright"]) / 2, 1e-4)
    assert row["dice"] > 0.85
    assert row["guess_miou"] < 0.4
    assert "stretched" in row["protocol"]["preprocessing"]
    assert set(row["health"]) == {"feature_std", "rankme"}
    for old, variable in zip(before, encoder.encoder.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert TRY.run(encoder, data)["miou"] == pytest.approx(row["miou"], 1e-5)


def test_an_fcn_and_a_copy_of_the_encoder_learn(encoder):
    before = [v.numpy() for v in encoder.encoder.variables]
    evaluation = SegmentationFCN(steps=30, batch_size=8, rate=0.1, width=8)
    found = evaluation.run(encoder, places.data())
    assert found["miou"] > 0.7
    assert set(found) >= {"iou_0", "iou_1", "dice", "pixel_accuracy"}
    for old, variable in zip(before, encoder.encoder.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_ignored_pixels_neither_teach_nor_count(encoder):
    def change(mask):
        # Wrong beside what is right, but for these pixels.
        mask = np.where(np.arange(places.SIZE) % 4 < 2, 1 - mask, mask)
        return np.where(np.arange(places.SIZE) % 4 < 2, IGNORED, mask).astype(np.int32)

    assert TRY.run(encoder, places.data(change=change))["miou"] > 0.8


def test_tokens_of_a_vit_on_the_embedded_set():
    splits = ("train[:24]", "test[:20]")
    opened = (open_source("embedded:32?truth=mask", s) for s in splits)
    data = EvaluationData(*opened, 32, test_limit=10)
    vit = ViT(patch_size=8, width=8, depth=2, heads=2, image_size=32)
    small = dataclasses.replace(TRY, steps=3, scale=(0.5, 2.0))
    found = small.run(Frozen(vit), data)
    assert set(found) == {
        *("miou", "pixel_accuracy", "guess_miou"),
        *("iou_background", "iou_object", "iou_occluder"),
    }


def test_evaluations_of_labels_say_that_there_are_none():
    with pytest.raises(ValueError, match="knn needs labels, and 'made:places'"):
        results.check(KNN(), places.data())


def test_scores_of_masks_by_hand():
    known = masks.Classes(("a", "b", "c"), most=0)
    true = np.array([[0, 0, 1, IGNORED]])
    got = masks.outcome([(0, np.array([[0, 1, 1, 2]]), true)], known).numbers
    assert got["miou"] == pytest.approx(0.5)
    # Two of three, and nothing of b.
    assert got["guess_miou"] == pytest.approx((2 / 3 + 0) / 2)
    assert "dice" not in got
    assert "iou_c" not in got


def test_the_loss_is_of_what_counts():
    logits = tf.constant(np.random.default_rng(0).normal(size=(1, 2, 2, 3)), tf.float32)
    mask = tf.constant([[[0, 2], [IGNORED, IGNORED]]])
    p = np.log(tf.nn.softmax(logits).numpy())
    want = -(p[0, 0, 0, 0] + p[0, 0, 1, 2]) / 2
    assert float(masks.cross_entropy(logits, mask)) == pytest.approx(want, 1e-5)
    assert float(masks.cross_entropy(logits, tf.fill([1, 2, 2], IGNORED))) == 0


def test_what_cannot_be_scored_is_said(encoder):
    data = places.data()

    def said(words, evaluation=TRY, encode=encoder, given=data):
        with pytest.raises(ValueError, match=words):
            evaluation.run(encode, given)

    everything = places.data(change=lambda x: np.full_like(x, IGNORED))
    said(
        r"All pixels of the masks .*split 'train'.* 255, which does not",
        given=everything,
    )
    named = places.data(classes=("one",))
    said(r"have the class 1, and there are 1: one\. Numbers", given=named)
    more = EvaluationData(
        places.source("train"), places.source("test", change=lambda x: x + 1), 16
    )
    said(r"Test masks .* class 2, and those of train go up to 1\.", given=more)
    many = places.data(change=lambda x: x * 300)
    said(r"class number 300; there can be 255.*instances=FEATURE", given=many)
    said("looks inside the encoder", encode=raw_pixels)
    said(
        "no layer 'stage9'; it has stage1", dataclasses.replace(TRY, layers=["stage9"])
    )
    tiny = SmallResNet((1,) * 4, (4,) * 4, stem_width=4)
    said(
        "at 16 px those of small_resnet have one .stage4.",
        SegmentationFCN(layers=["stage4"]),
        Frozen(tiny),
    )
    with pytest.raises(ValueError, match="segmentation needs the mask of each image"):
        results.check(TRY, places.data("depth"))
    with pytest.raises(ValueError, match="Train has the truth 'mask' and test 'depth'"):
        EvaluationData(places.source("train"), places.source("test", "depth"), 16)
    for bad in ({"steps": 0}, {"rate": 0.0}, {"scale": (2.0, 1.0)}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Segmentation(**bad)
    with pytest.raises(ValueError, match="width and dilation"):
        SegmentationFCN(dilation=0)


def test_protocols_say_what_a_score_depends_on():
    one, other = (Segmentation(scale=s).protocol() for s in ((1.0, 1.0), (0.5, 1.0)))
    assert one["views"] == {"scale": [1.0, 1.0], "flip": 0.5}
    assert results.fingerprint("segmentation", one) != results.fingerprint(
        "segmentation", other
    )
    assert SegmentationFCN(layers=("stage1",)).protocol()["layers"] == ["stage1"]
