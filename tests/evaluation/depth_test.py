import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data.sources import open_source
from keras_ssl.encoders.resnet import SmallResNet
from keras_ssl.evaluation import results
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.depth import Depth, berhu
from keras_ssl.evaluation.raw import raw_pixels
from tests.evaluation import places

TRY = Depth(steps=60, batch_size=8, rate=0.2)


@pytest.fixture(scope="module")
def encoder():
    # What maps tell depends on the weights they are drawn with.
    keras.utils.set_random_seed(0)
    return Frozen(SmallResNet((1, 1), (8, 16), stem_width=4))


def test_what_is_easily_told_apart_is_learned(encoder):
    found = TRY.run(encoder, places.data("depth"))
    names = ["delta1", "delta2", "delta3", "rms", "rel"]
    assert list(found) == [*names, *(f"guess_{name}" for name in names)]
    assert 0.7 < found["delta1"] <= found["delta2"] <= found["delta3"] <= 1
    assert found["rms"] < 0.9
    # Of 2 and 5 the median is one, and a pixel of the other one is off by 3.
    wrong = 1 - found["guess_delta1"]
    assert found["guess_rms"] == pytest.approx(3 * wrong**0.5)
    assert 0.2 < wrong < 0.8


def test_unknown_depth_neither_teaches_nor_counts(encoder):
    def change(depth):
        return np.where(np.arange(places.SIZE) % 4 < 2, 0.0, depth).astype(np.float32)

    found = TRY.run(encoder, places.data("depth", change=change))
    assert found["delta1"] > 0.7
    assert found["rms"] < 0.9
    with pytest.raises(ValueError, match=r"known of no pixel .*split 'train'"):
        TRY.run(encoder, places.data("depth", change=lambda x: x * 0))


def test_berhu_by_hand():
    residual = tf.constant([[1.0, -10.0, 3.0, 99.0]])
    known = tf.constant([[True, True, True, False]])
    # The threshold is 2: 1; (100 + 4) / 4; (9 + 4) / 4.
    assert float(berhu(residual, known)) == pytest.approx((1 + 26 + 3.25) / 3)
    assert float(berhu(residual, known & False)) == 0
    assert float(berhu(residual * 0, known)) == 0


def test_on_the_embedded_set_and_nothing_else(encoder):
    splits = ("train[:40]", "test[:10]")
    opened = (open_source("embedded:32?truth=depth", s) for s in splits)
    data = EvaluationData(*opened, 32, train_limit=24)
    small = dataclasses.replace(TRY, steps=3)
    row = results.result(small, "encoder", encoder, data, 0)
    assert row["score"] == "delta1"
    assert row["delta3"] > 0
    with pytest.raises(ValueError, match="looks inside the encoder"):
        small.run(raw_pixels, data)
    with pytest.raises(ValueError, match="depth needs the depth of each image"):
        results.check(small, places.data())
    with pytest.raises(ValueError, match="rate"):
        Depth(rate=-1.0)
