import dataclasses
import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import Source, open_source
from keras_ssl.data.truth import Truth
from keras_ssl.encoders.resnet import ResNet, SmallResNet
from keras_ssl.encoders.vit import ViT
from keras_ssl.evaluation import results, retinanet
from keras_ssl.evaluation.boxes import boxed, mirrored, padded, usable
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.detection import Detection, detections
from keras_ssl.evaluation.pyramid import EncoderLevels
from keras_ssl.evaluation.raw import raw_pixels

SIZE = 32
TRY = Detection(steps=2, batch_size=4, width=8, depth=1, cells=8)


def boxes_source(name, images, rows, classes=("red", "blue")):
    """Images at hand, with boxes in [0, 1]."""
    held = tf.constant(images)
    boxes = tf.ragged.constant([b for b, _ in rows], ragged_rank=1, inner_shape=(4,))
    labels = tf.ragged.constant([c for _, c in rows], dtype=tf.int64)
    truth = Truth("boxes", lambda i: (boxes[i], labels[i]), classes)
    return Source(
        name,
        "train",
        len(images),
        images.shape[1:],
        lambda index: tf.gather(held, index),
        truth=truth,
    )


def squares(name, count=6, seed=0):
    """Images of one red or blue square each, on dark grain."""
    rng = np.random.default_rng(seed)
    images = (40 * rng.random((count, SIZE, SIZE, 3))).astype(np.uint8)
    rows = []
    for i in range(count):
        side = rng.integers(10, 20)
        y, x = rng.integers(0, SIZE - side, 2)
        images[i, y : y + side, x : x + side] = ([255, 60, 60], [60, 60, 255])[i % 2]
        box = np.array([[y, x, y + side, x + side]], np.float32) / SIZE
        rows.append((box.tolist(), [i % 2]))
    return boxes_source(name, images, rows)


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    made = SmallResNet(blocks=(1, 1), widths=(8, 16))
    made(tf.zeros([1, SIZE, SIZE, 3]))
    return made


@pytest.fixture(scope="module")
def detector(encoder):
    levels = EncoderLevels(encoder, SIZE, cells=8)
    return retinanet.retinanet(levels, 3, width=8, depth=1)


def test_labels_anchors_and_decoding_agree(detector):
    # What the label encoder asks for, decoded, is the truth: boxes of all sizes.
    boxes = np.array(
        [
            [[2, 3, 12, 11], [10, 14, 30, 31], [-1] * 4],
            [[0, 0, 32, 32], *[[-1] * 4] * 2],
        ],
        np.float32,
    )
    labels = np.array([[2, 0, -1], [1, -1, -1]], np.float32)
    images = tf.zeros([2, SIZE, SIZE, 3])
    truth = {"boxes": tf.constant(boxes), "classes": tf.constant(labels)}
    deltas, classes = detector.label_encoder(images, truth)
    wanted = {
        "box": deltas,
        "classification": 20 * tf.one_hot(tf.cast(classes, tf.int32), 3) - 10,
    }
    # As many anchors as predictions.
    for key, value in detector({"images": images}, training=False).items():
        assert value.shape == wanted[key].shape
    found = detector.decode_predictions(wanted, images)
    for i, count in enumerate((2, 1)):
        got = found["boxes"][i][found["confidence"][i] > 0.5].numpy()
        order = np.argsort(got[:, 2])
        assert len(got) == count == int(found["num_detections"][i])
        np.testing.assert_allclose(got[order], boxes[i, :count], atol=1e-3)
        kinds = found["classes"][i, :count].numpy()[order]
        np.testing.assert_array_equal(kinds, labels[i, :count])


def test_anchors_lie_where_their_cells_are(detector):
    # Row 2 and column 5 of the finest level's 8 x 8 cells of 4 pixels.
    truth = {"boxes": tf.constant([[[6.0, 18, 14, 26]]]), "classes": tf.zeros([1, 1])}
    _, classes = detector.label_encoder(tf.zeros([1, SIZE, SIZE, 3]), truth)
    finest = np.reshape(classes[0, : 8 * 8 * 9], (8, 8, 9)) >= 0
    rows, columns = np.nonzero(finest.any(axis=2))
    assert (rows.mean(), columns.mean()) == (2, 5)


def test_detections_are_shares_of_the_image(detector):
    source, head = squares("one", 3), detector.classification_head
    _, bias = head.layers[-1].weights
    before = bias.numpy()
    # Any anchor may be an object, and of class 2.
    bias.assign(np.tile([-9.0, -9.0, 2.0], 9))
    try:
        found = detections(detector, source, SIZE)
    finally:
        bias.assign(before)
    assert list(found) == [0, 1, 2]
    for boxes, scores, labels in found.values():
        assert len(boxes) == len(scores) == len(labels) > 10
        assert boxes.min() >= 0
        assert 0.9 < boxes.max() <= 1
        assert np.all(np.diff(scores) <= 0)
        assert 0.5 < scores.max() < 1
        assert np.all(labels == 2)


def test_the_loss_is_the_papers(detector):
    images = tf.random.stateless_uniform([2, SIZE, SIZE, 3], [0, 1])
    boxes = tf.constant([[[2.0, 3, 12, 11], [-1.0] * 4], [[4, 4, 30, 28], [-1] * 4]])
    labels = tf.constant([[2, -1], [0, -1]])
    got = retinanet.loss(detector, images, boxes, labels, training=False)
    predicted = detector({"images": images}, training=False)
    truth = {"boxes": boxes, "classes": tf.cast(labels, tf.float32)}
    deltas, classes = (x.numpy() for x in detector.label_encoder(images, truth))
    p = 1 / (1 + np.exp(-predicted["classification"].numpy()))
    y = np.eye(3)[np.maximum(classes, 0).astype(int)] * (classes >= 0)[..., None]
    right = np.where(y == 1, p, 1 - p)
    focal = np.where(y == 1, 0.25, 0.75) * (1 - right) ** 2 * -np.log(right)
    off = np.abs(predicted["box"].numpy() - deltas)
    smooth = np.where(off < 1, 0.5 * off**2, off - 0.5).mean(axis=-1)
    objects = (classes >= 0).sum()
    # Anchors between an object and none, of IoU 0.4 to 0.5, count neither way.
    assert objects > 1
    assert (classes == -2).sum() > 1
    want = (focal.sum(-1)[classes > -2].sum() + smooth[classes >= 0].sum()) / objects
    assert float(got) == pytest.approx(want, rel=1e-4)
    none = retinanet.loss(detector, images, boxes * 0 - 1, labels * 0 - 1, False)
    assert float(none) == 0.0


def test_a_result_and_its_protocol(encoder):
    train, test = (open_source("embedded:32?truth=boxes", s) for s in ("train", "test"))
    data = EvaluationData(train, test, SIZE, 9, 5)
    row = results.result(TRY, "encoder", Frozen(encoder), data, 0)
    assert row["score"] == "ap"
    assert 0 <= row["ap"] <= row["ap50"] <= 1
    assert row["images"] == row["boxes"] == 5
    assert row["protocol"]["batch_norm"] == "of the batch"
    assert row["protocol"]["train"]["images"] == 9
    assert "stretched" in row["protocol"]["preprocessing"]
    fields = {field.name for field in dataclasses.fields(TRY)}
    assert fields <= row["protocol"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_a_handful_of_images_is_learned(encoder, frozen):
    data = EvaluationData(squares("one"), squares("same"), SIZE)
    before = [v.numpy() for v in encoder.variables]
    learn = Detection(
        steps=120, batch_size=6, rate=5e-3, width=32, depth=1, cells=8, frozen=frozen
    )
    found = learn.run(Frozen(encoder), data)
    assert found["ap50"] > 0.95
    assert found["ap"] > 0.5
    assert found["images"] == found["boxes"] == 6
    for old, variable in zip(before, encoder.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.slow
def test_what_is_trained_is_a_copy_and_the_same_again(encoder):
    part = boxed(squares("one", 4))

    def trained(tune):
        made = tune.fit(encoder, SIZE, part)
        return made, made.backbone.get_layer("levels").encoder

    (one, copy), (same, _) = trained(TRY), trained(TRY)
    frozen, kept = trained(dataclasses.replace(TRY, frozen=True))
    for a, b in zip(one.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(frozen.trainable_variables) == len(one.trainable_variables) - len(
        encoder.trainable_variables
    )
    for old, a, b in zip(
        encoder.variables, copy.variables, kept.variables, strict=True
    ):
        assert np.any(old.numpy() != a.numpy())
        np.testing.assert_array_equal(old, b)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_encoder_has_its_precision_and_the_detector_float32(policy):
    encoder = SmallResNet(blocks=(1,), widths=(8,), dtype=policy)
    encoder(tf.zeros([1, SIZE, SIZE, 3]))
    data = EvaluationData(squares("one", 4), squares("two", 4), SIZE)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        made = TRY.fit(encoder, SIZE, boxed(data.train))
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy(before)
    assert made.backbone.get_layer("levels").encoder.dtype_policy.name == policy
    out = made({"images": tf.zeros([1, SIZE, SIZE, 3])})
    assert all(x.dtype == tf.float32 for x in out.values())
    assert all(np.isfinite(v.numpy()).all() for v in made.trainable_variables)


def test_the_rate_rises_and_falls():
    optimizer = Detection(steps=100, rate=0.5, warmup=0.1)._optimizer("float32")

    def rate(step):
        optimizer.iterations.assign(step)
        return float(optimizer.learning_rate)

    assert 0 < rate(0) < rate(5) < rate(10) == pytest.approx(0.5)
    assert rate(55) == pytest.approx(0.25)
    assert rate(100) == pytest.approx(0, abs=1e-6)
    assert float(Detection(rate=0.5, warmup=0.0)._optimizer("").learning_rate) == 0.5


def test_levels_are_the_encoders_last_stages():
    resnet = ResNet(18, width=0.125)
    resnet(tf.zeros([1, 128, 128, 3]))
    levels = EncoderLevels(resnet, 128, 32)
    assert levels.chosen == ["stage2", "stage3", "stage4"]
    assert (levels.stride, levels.sides) == (8, [16, 8, 4])
    small = SmallResNet(blocks=(1, 1, 1), widths=(4, 6, 8))
    small(tf.zeros([1, 64, 64, 3]))
    coarse, fine = EncoderLevels(small, 64, 8), EncoderLevels(small, 64, 64)
    assert (coarse.chosen, coarse.stride) == (["stage3"] * 3, 8)
    assert (fine.chosen, fine.stride) == (["stage1", "stage2", "stage3"], 2)
    images = tf.random.stateless_uniform([2, 64, 64, 3], [0, 0])
    got, want = coarse(images), small.maps(images)["stage3"]
    np.testing.assert_array_equal(got["P3"], want)
    assert got["P5"].shape == (2, 2, 2, 8)
    vit = ViT(patch_size=8, width=12, depth=2, image_size=40, drop_path=0.5)
    vit(tf.zeros([1, 40, 40, 3]))
    levels = EncoderLevels(vit, 40, 32)
    assert (levels.chosen, levels.sides) == (["block2"] * 3, [20, 10, 5])
    images = tf.random.stateless_uniform([2, 40, 40, 3], [0, 0])
    # Nothing is dropped.
    got, want = levels(images, training=True), vit.maps(images)["block2"]
    np.testing.assert_array_equal(got["P5"], tf.image.resize(want, [5, 5]))
    assert [got[k].shape[1] for k in ("P3", "P4", "P5")] == levels.sides
    with pytest.raises(ValueError, match="maps of several places"):
        EncoderLevels(vit, 8, 32)


def test_mirrored_boxes_are_where_the_objects_are():
    images = np.zeros((3, 8, 10, 3), np.float32)
    boxes = np.array([[[1, 2, 4, 9], [-1] * 4]] * 3, np.float32)
    images[:, 1:4, 2:9] = 1.0
    chosen = tf.constant([True, False, True])
    turned, placed = mirrored(tf.constant(images), tf.constant(boxes), chosen)
    for image, (box, none), flipped in zip(turned, placed, chosen, strict=True):
        y0, x0, y1, x1 = box.numpy().astype(int)
        assert (x0, x1) == ((1, 8) if flipped else (2, 9))
        np.testing.assert_array_equal(image[y0:y1, x0:x1], 1.0)
        assert float(tf.reduce_sum(image)) == 3 * (y1 - y0) * (x1 - x0)
        np.testing.assert_array_equal(none, [-1] * 4)


def test_boxes_are_cut_and_those_of_nothing_left_out():
    some = [[-0.5, 0.2, 0.5, 0.4], [0.3, 0.3, 0.3, 0.9], [1.1, 0, 1.2, 1], [0, 0, 1, 2]]
    rows = [(np.array(some), np.array([0, 1, 2, 3])), (np.zeros((0, 4)), np.zeros(0))]
    kept, left_out = usable(rows)
    assert left_out == 2
    np.testing.assert_allclose(kept[0][0], [[0, 0.2, 0.5, 0.4], [0, 0, 1, 1]])
    np.testing.assert_array_equal(kept[0][1], [0, 3])
    boxes, labels = padded(kept, 10)
    np.testing.assert_allclose(boxes[0], [[0, 2, 5, 4], [0, 0, 10, 10]])
    np.testing.assert_array_equal(boxes[1], -np.ones((2, 4)))
    np.testing.assert_array_equal(labels, [[0, 3], [-1, -1]])


def test_images_without_boxes_are_kept_and_counts_said(capsys):
    flat = [[0.5, 0.1, 0.5, 0.9]]
    rows = [([[0.0, 0.0, 0.5, 0.5], *flat], [1, 0]), ([], [])]
    source = boxes_source("few", np.zeros((2, SIZE, SIZE, 3), np.uint8), rows)
    got = boxed(source)
    assert (got.images.count, got.left_out) == (2, 1)
    assert [len(labels) for _, labels in got.boxes] == [1, 0]
    assert "few (split train): 1 boxes cover nothing" in capsys.readouterr().err
    with pytest.raises(ValueError, match="None of the 1 images of 'none'"):
        boxed(boxes_source("none", np.zeros((1, 8, 8, 3), np.uint8), [(flat, [0])]))


def test_mistakes(encoder, monkeypatch):
    for bad in ({"steps": 0}, {"rate": -1.0}, {"warmup": 1.5}, {"cells": 0}):
        with pytest.raises(ValueError, match=r"must be"):
            Detection(**bad)
    one, two = squares("one", 4), squares("two", 4)
    data = EvaluationData(one, two, SIZE)
    with pytest.raises(ValueError, match="looks inside the encoder"):
        TRY.run(raw_pixels, data)
    other = dataclasses.replace(
        two, truth=dataclasses.replace(two.truth, classes=("cat", "dog"))
    )
    with pytest.raises(ValueError, match="same kind and classes"):
        EvaluationData(one, other, SIZE)
    labelled = EvaluationData(
        open_source("embedded:32", "train"), open_source("embedded:32", "test"), SIZE
    )
    with pytest.raises(ValueError, match=r"needs the boxes of each image"):
        results.check(TRY, labelled)
    found = importlib.import_module

    def missing(name, *rest):
        if name.startswith("pycocotools"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return found(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"keras_ssl\[dense\]"):
        TRY.run(Frozen(encoder), data)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_it(encoder):
    wild = dataclasses.replace(TRY, rate=1e30, warmup=0.0, steps=3)
    with pytest.raises(FloatingPointError, match=r"lower detection\.rate"):
        wild.fit(encoder, SIZE, boxed(squares("one", 4)))
