import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks import pictures
from keras_ssl.callbacks.tsne import TSNE, project


def groups(n=30, seed=0):
    """Three groups in 60 dimensions, far from each other."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = rng.normal(size=(3, 60)) * 20
    return (centres[labels] + rng.normal(size=(n, 60))).astype(np.float32), labels


def test_groups_stay_groups():
    pytest.importorskip("sklearn")
    features, labels = groups()
    points = project(features)
    assert points.shape == (30, 2)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(labels[distance.argmin(1)], labels)
    np.testing.assert_array_equal(project(features), points)


def test_points_are_drawn_by_class(tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.arange(40) % 12
    path = tmp_path / "deep" / "points.png"
    pictures.draw_points(path, points, labels, [f"class {i}" for i in range(12)])
    image = tf.io.decode_png(path.read_bytes(), 3).numpy()
    # Ten colours at least, beside black, white and what lies between.
    strong = np.ptp(image.reshape(-1, 3).astype(int), axis=1) > 80
    assert len(np.unique(image.reshape(-1, 3)[strong], axis=0)) >= 8


def test_a_run_goes_on_without_scikit_learn(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "sklearn" else found(name, *rest),
    )
    said = []
    monkeypatch.setattr("keras_ssl.core.console.say", said.append)
    callback = TSNE()
    callback.open(tmp_path, None, None)
    callback.on_train_end()
    assert "pip install 'keras_ssl[plots]'" in said[0]
    assert not list(tmp_path.iterdir())


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="at least 2 examples"):
        TSNE(examples=1)
