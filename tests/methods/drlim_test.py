import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.encoders.lenet import LeNet
from keras_ssl.methods.drlim import DrLIM
from keras_ssl.schedules import Clock

N, K = 6, 2


@pytest.fixture(scope="module")
def method():
    keras.utils.set_random_seed(0)
    made = DrLIM(LeNet(), margin=2.0)
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch())
    made.setup(spec, Clock(10, 5))
    return made


def batch(**facts):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(2, N, 32, 32, 3)).astype(np.float32)
    return {
        "views": (tf.constant(images[0]), tf.constant(images[1])),
        "seed": tf.zeros([N, 2], tf.int32),
        "index": tf.range(10, 10 + N, dtype=tf.int64),
        **{k: tf.constant(v, tf.int64) for k, v in facts.items()},
    }


def expected(method, given, related):
    z1, z2 = (method.encoder(view).numpy() for view in given["views"])
    similar = 0.5 * np.square(z1 - z2).sum(-1)
    terms = [
        0.5 * max(0.0, method.margin - np.linalg.norm(z1[i] - z2[j])) ** 2
        for i in range(N)
        for j in range(N)
        if not related(i, j)
    ]
    assert 0 < len(terms) < N * N
    return {"similar": similar.mean(), "dissimilar": np.mean(terms)}


def check(method, given, related):
    want = expected(method, given, related)
    # As a graph too, whose optimizer once took all pairs for related.
    for loss in (method._loss, tf.function(method._loss, autograph=False)):
        got = loss(given)
        for name, value in want.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(got["loss"], sum(want.values()), rtol=1e-4)


def test_by_views_all_other_images_are_dissimilar(method):
    check(method, batch(), lambda i, j: i == j)


def test_by_labels_images_of_one_label_are_left_alone(method):
    label = [0, 1, 0, 2, 1, 0]
    partner = [12, 14, 15, 13, 11, 10]
    check(
        method,
        batch(label=label, partner=partner),
        lambda i, j: label[i] == label[j],
    )


def test_neighbours_of_either_side_are_left_alone(method):
    # First views show 10 to 15, second views show these:
    partner = [20, 12, 21, 22, 23, 14]
    own = [[20, 22], [12, 30], [21, 31], [22, 32], [23, 33], [14, 34]]
    theirs = [[40, 41], [42, 43], [15, 44], [45, 46], [47, 48], [49, 50]]
    related = {
        *((i, i) for i in range(N)),
        (0, 3),  # 22 is in the list of 10.
        (5, 2),  # 15 is in the list of 21.
        (2, 1),  # Both show 12.
        (4, 5),  # Both show 14.
    }
    facts = {"neighbours": np.stack([own, theirs], 1), "partner": partner}
    check(method, batch(**facts), lambda i, j: (i, j) in related)


def test_images_that_stand_in_twice_are_no_strangers(method):
    given = batch()
    given["index"] = tf.constant([10, 11, 12, 10, 14, 15], tf.int64)
    check(method, given, lambda i, j: i == j or {i, j} == {0, 3})


def test_distances_are_those_of_the_map(method):
    given = batch()
    got = method._loss(given)
    z1, z2 = (method.encoder(view).numpy() for view in given["views"])
    np.testing.assert_allclose(
        got["similar_distance"], np.linalg.norm(z1 - z2, axis=-1).mean(), rtol=1e-5
    )
    apart = [
        np.linalg.norm(z1[i] - z2[j]) for i in range(N) for j in range(N) if i != j
    ]
    np.testing.assert_allclose(got["dissimilar_distance"], np.mean(apart), rtol=1e-5)


def test_margin_is_checked():
    with pytest.raises(ValueError, match="margin must be positive, got 0"):
        DrLIM(LeNet(), margin=0)
