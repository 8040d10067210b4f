import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core import registry
from keras_ssl.core.tracing import named_variables
from keras_ssl.data import sources
from keras_ssl.evaluation.data import EvaluationData, Frozen
from keras_ssl.evaluation.fine_tune import (
    FineTune,
    accuracies,
    copied,
    labelled_part,
)
from keras_ssl.evaluation.raw import raw_pixels

TRY = FineTune(epochs=4, batch_size=32, rate=0.8)


@pytest.fixture(scope="module")
def data():
    splits = (sources.open_source("embedded:32", s) for s in ("train", "test"))
    return EvaluationData(*splits, 32, 320, 100)


@pytest.fixture(scope="module")
def encoder():
    made = registry.get("encoder", "SmallResNet")(blocks=(1, 1), widths=(8, 16))
    made(tf.zeros([1, 32, 32, 3]))
    return made


def test_a_copy_learns_and_the_encoder_stays(data, encoder):
    before = [v.numpy() for v in encoder.variables]
    found = TRY.run(Frozen(encoder), data)
    assert found["images"] == 320
    # Ten classes; the untrained layer's zeros would say the first one.
    assert 0.14 < found["top1"] < found["top5"] <= 1
    for old, variable in zip(before, encoder.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    again = TRY.run(Frozen(encoder), data)
    assert again == found


def test_it_starts_from_the_encoders_weights(data, encoder):
    classifier, _ = FineTune(epochs=1, batch_size=320, rate=1e-9).fit(encoder, data)
    got = named_variables(classifier.encoder)
    for name, variable in named_variables(encoder).items():
        if "moving" in name:
            continue
        np.testing.assert_allclose(got[name].numpy(), variable.numpy(), atol=1e-6)
    assert np.abs(classifier.projector.kernel.numpy()).max() < 1e-6


def test_the_new_layer_may_learn_faster(data, encoder):
    def moved(factor):
        tune = FineTune(epochs=1, batch_size=320, rate=1e-3, head_factor=factor)
        return np.abs(tune.fit(encoder, data)[0].projector.kernel.numpy()).max()

    assert moved(5.0) == pytest.approx(5 * moved(1.0), rel=1e-3)


def test_few_labels_are_as_many_of_each_class(data):
    part = labelled_part(data, 0.1, seed=0)
    labels, _ = part.need_labels("A test")
    assert np.bincount(labels[np.arange(part.count)]).tolist() == [3] * 10
    again, other = (labelled_part(data, 0.1, seed) for seed in (0, 1))
    assert part.fingerprint() == again.fingerprint() != other.fingerprint()
    assert labelled_part(data, 1e-6, 0).count == 10
    images = part.read(tf.constant([0, 29], tf.int64))
    assert images.shape == (2, 32, 32, 3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_copies_have_the_precision(policy, data):
    kind = registry.get("encoder", "SmallResNet")
    encoder = kind(blocks=(1, 1), widths=(8, 16), dtype=policy)
    encoder(tf.zeros([1, 32, 32, 3]))
    assert copied(encoder, 32).dtype_policy.name == policy
    found = FineTune(epochs=1, batch_size=160).run(Frozen(encoder), data)
    assert 0 <= found["top1"] <= 1


def test_accuracies_by_hand():
    logits = np.eye(7)[[0, 1, 2, 3]] + 0.1 * np.arange(7)[::-1]
    found = accuracies(logits, np.array([0, 1, 3, 6]))
    assert found == {"top1": 0.5, "top5": 0.75}
    assert accuracies(logits[:, :4], np.array([0, 1, 2, 0])) == {"top1": 0.75}


def test_mistakes(data, encoder):
    for bad in ({"fraction": 0.0}, {"epochs": 0}, {"rate": 0.0}):
        with pytest.raises(ValueError, match=r"must be"):
            FineTune(**bad)
    with pytest.raises(ValueError, match="looks inside the encoder"):
        TRY.run(raw_pixels, data)
    with pytest.raises(FloatingPointError, match=r"lower fine_tune\.rate"):
        FineTune(epochs=3, batch_size=32, rate=1e38).run(Frozen(encoder), data)
