"""What must be found among images that an encoder has seen, and what must not."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import Source
from keras_ssl.evaluation import knn, per_image, results
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.knn import KNN
from keras_ssl.evaluation.leakage import Leakage
from tests import harness

COUNT = 120
OWN = np.arange(0, COUNT, 4)


def source(pixels, name, labels=None):
    held = tf.constant(np.asarray(pixels, np.uint8))
    shape = tuple(held.shape[1:])
    return Source(
        f"fake:{name}",
        "train" if name == "seen" else "test",
        len(held),
        shape,
        lambda index: tf.gather(held, index),
        labels,
        None if labels is None else ("cat", "dog"),
    )


@pytest.fixture(scope="module")
def pixels():
    """Smooth pictures with a finer pattern on them, as photographs have."""
    fine = np.random.default_rng(1).normal(0, 12, (COUNT, 12, 12, 3))
    fine = tf.image.resize(fine, [32, 32], "bicubic").numpy()
    smooth = harness.images(COUNT, 32).numpy()
    return np.clip(smooth + fine, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def leaks(pixels):
    return Leakage(source(pixels, "seen"))


def jpeg(images, quality):
    return [tf.image.adjust_jpeg_quality(image, quality).numpy() for image in images]


def resized(images, *sides):
    for side in sides:
        images = tf.image.resize(images, [side, side], antialias=True)
    return np.clip(np.rint(images), 0, 255)


COPIES = {
    "same": lambda x: x,
    "mirrored": lambda x: x[:, :, ::-1],
    "jpeg": lambda x: jpeg(x, 50),
    "mirrored jpeg": lambda x: jpeg(x[:, :, ::-1], 50),
    "smaller": lambda x: resized(x, 24),
    "larger": lambda x: resized(x, 48),
    "brighter": lambda x: np.clip(x * 1.2, 0, 255),
    "border cut": lambda x: resized(x[:, 1:-1, 1:-1], 32),
    "corner cut": lambda x: resized(x[:, 2:, 2:], 32),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(leaks, pixels, name):
    found = leaks.of(source(COPIES[name](pixels[OWN]), name))
    assert found.of == len(OWN)
    right = found.matches == OWN[found.rows]
    assert right.sum() >= 0.95 * len(OWN)
    assert right.all()


def test_others_are_not(leaks, pixels):
    others = {
        "turned": np.rot90(pixels, 1, (1, 2)),
        "upside down": pixels[:, ::-1],
        "of another seed": harness.images(COUNT, 32, seed=9).numpy(),
        "flat": np.full((4, 32, 32, 3), 90, np.uint8),
    }
    for name, images in others.items():
        assert len(leaks.of(source(images, name)).rows) == 0


def test_a_result_says_what_it_is_without_them(leaks, pixels, monkeypatch):
    strange = np.rot90(pixels, 1, (1, 2))[:20]
    labels = np.arange(30) % 2
    test = source(np.concatenate([strange, pixels[:10]]), "mixed", labels)
    train = source(pixels, "seen", np.arange(COUNT) % 2)
    data = EvaluationData(train, test, 32)

    def encode(images):
        return tf.reshape(images, [len(images), -1])

    evaluation = KNN(k=1)
    whole = evaluation.run(encode, data)["top1"]
    outcome = per_image.tried(evaluation, encode, data)
    beside = leaks.beside(outcome, "top1", data)
    assert (beside["near_duplicates"], beside["of"]) == (10, 30)
    assert beside["share"] == pytest.approx(1 / 3, abs=1e-6)
    assert beside["pretrained_on"] == {"data": "fake:seen", "split": "train"}
    # All ten copies are classified right.
    without = beside["without"]["top1"]
    assert whole == pytest.approx((10 + 20 * without) / 30, abs=1e-6)
    searches, search = [], knn.nearest
    monkeypatch.setattr(knn, "nearest", lambda *x: searches.append(x) or search(*x))
    row = results.result(evaluation, "encoder", encode, data, 1, leaks)
    assert (row["leakage"], len(searches)) == (beside, 1)
    assert "leakage" not in results.result(evaluation, "encoder", encode, data, 1)
    fewer = data.without(np.arange(20, 30))
    assert fewer.test.count == 20
    np.testing.assert_array_equal(fewer.features(encode).test_labels, labels[:20])
    # Encoded anew they are the same.
    fewer.forget()
    assert evaluation.run(encode, fewer)["top1"] == pytest.approx(without, abs=1e-6)
    with pytest.raises(ValueError, match="No test image"):
        data.without(np.arange(30))


def test_without_copies_there_is_nothing_more_to_say(leaks, pixels):
    labels = np.arange(COUNT) % 2
    turned = source(np.rot90(pixels, 1, (1, 2)), "turned too", labels)
    data = EvaluationData(source(pixels, "seen", labels), turned, 32)
    beside = leaks.beside(None, "top1", data)
    assert beside["near_duplicates"] == 0
    assert "without" not in beside


def test_mistakes_are_explained(pixels):
    seen = source(pixels, "seen")
    with pytest.raises(ValueError, match="threshold must be in"):
        Leakage(seen, threshold=1.0)
