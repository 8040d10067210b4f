"""What the PROJECTOR tab shows, read by TensorBoard itself."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug import test

from keras_ssl.callbacks import embedding


def asked(folder):
    """Answers of TensorBoard's server: `ask(what, ...)` gives bytes."""
    with tf.summary.create_file_writer(str(folder)).as_default(0):
        tf.summary.scalar("loss", 1.0)
    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    context = base_plugin.TBContext(logdir=str(folder), data_provider=provider)
    apps = projector_plugin.ProjectorPlugin(context).get_plugin_apps()

    def ask(what):
        path = f"/{what}?run=.&name=features"
        answer = test.Client(apps[f"/{what}"]).get(path)
        assert answer.status_code == 200, answer.get_data()
        return answer.get_data()

    return ask


RNG = np.random.default_rng(0)
CASES = {
    "wide": RNG.normal(size=(5, 40)),
    # Bytes that are text as well.
    "zeros": np.zeros((5, 4)),
    "rectified": np.maximum(RNG.normal(size=(300, 64)), 0.0),
    "no numbers": np.full((2, 4), np.nan),
    "flat": RNG.normal(size=(6, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_tensorboard_reads_features_back(name, tmp_path):
    features = CASES[name].astype(np.float32)
    count = len(features)
    pictures = [np.full((4, 4, 3), i % 256, np.uint8) for i in range(count)]
    embedding.write_embedding(tmp_path, features, pictures, np.arange(count))
    ask = asked(tmp_path)
    (config,) = json.loads(ask("info"))["embeddings"]
    got = np.frombuffer(ask("tensor"), np.float32).reshape(config["tensorShape"])
    width = features.shape[1]
    want = np.nan_to_num(features)
    np.testing.assert_allclose(got[:, :width], want, rtol=1e-4, atol=1e-30)
    assert got.shape == (count, max(3, width))
    assert not got[:, width:].any()
    assert ask("metadata").decode().splitlines()[-1] == f"image {count - 1}"


def test_thumbnails_and_labels_are_in_the_order_of_features(tmp_path):
    pictures = [np.full((12, 12, 3), 20 * i, np.uint8) for i in range(7)]
    labels = [f"class\t{i}" for i in range(7)]
    numbers = np.arange(7) * 10
    embedding.write_embedding(tmp_path, np.eye(7), pictures, numbers, labels)
    ask = asked(tmp_path)
    (config,) = json.loads(ask("info"))["embeddings"]
    assert config["sprite"]["singleImageDim"] == [12, 12]
    sprite = tf.io.decode_png(ask("sprite_image")).numpy()
    # Three columns of 12 pixels, row by row.
    assert sprite.shape == (36, 36, 3)
    tiles = sprite.reshape(3, 12, 3, 12, 3)[:, 6, :, 6, 0].ravel()
    assert [*tiles[:7]] == [20 * i for i in range(7)]
    rows = ask("metadata").decode().splitlines()
    assert rows[0] == "label\timage"
    assert rows[1:] == [f"class {i}\t{10 * i}" for i in range(7)]


def test_many_thumbnails_fit_into_a_texture():
    pictures = [np.zeros((64, 64, 3), np.uint8)] * 40_000
    assert embedding._side(len(pictures), pictures) == 8192 // 200


def test_needs_a_picture_of_each(tmp_path):
    with pytest.raises(ValueError, match="3 features, 2 pictures and 3 numbers"):
        embedding.write_embedding(
            tmp_path, np.eye(3), [np.zeros((4, 4, 3), np.uint8)] * 2, np.arange(3)
        )
