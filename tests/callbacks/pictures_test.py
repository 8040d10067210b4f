import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks import pictures
from keras_ssl.callbacks.pictures import draw_map
from keras_ssl.data.partners import SameLabel
from keras_ssl.data.sources import Source


@pytest.mark.parametrize("classes", [2, 12, 30])
def test_a_map_shows_every_class(classes, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(300) % classes
    points = labels[:, None] + rng.normal(size=(300, 2)) / 9
    names = [f"class {i}" for i in range(classes)]
    drawn = draw_map(tmp_path / "map.png", points, labels, names)
    assert (drawn.dtype, drawn.ndim, drawn.shape[2]) == (np.uint8, 3, 4)
    saved = tf.io.decode_png((tmp_path / "map.png").read_bytes())
    assert saved.shape == drawn.shape
    # Points of one class have a colour each; ten colours in all.
    colors = np.unique(drawn.reshape(-1, 4), axis=0)
    assert len(colors) > 2 * min(classes, 10)


def test_a_map_lies_in_a_plane(tmp_path):
    with pytest.raises(ValueError, match=r"\(n, 2\), got \(4, 3\)"):
        draw_map(tmp_path / "map.png", np.zeros((4, 3)), np.zeros(4), ["a"])


def test_views_after_the_first_show_the_partner(tmp_path, monkeypatch):
    held = tf.cast(tf.tile(tf.range(4)[:, None, None, None], [1, 2, 2, 3]), tf.uint8)
    labels = np.array([0, 1, 0, 1])
    source = Source(
        "fake", "train", 4, (2, 2, 3), lambda i: tf.gather(held, i), labels, ("a", "b")
    )
    found = {}
    monkeypatch.setattr(pictures, "draw_rows", lambda path, rows: found.update(rows))
    views = lambda images, seeds: (images, images)  # noqa: E731
    partners = SameLabel().prepare(source)
    pictures.draw_views(tmp_path, source, views, 0, partners=partners)
    shown = {name: [int(x[0, 0, 0]) for x in row] for name, row in found.items()}
    assert shown == {
        "image": [0, 1, 2, 3],
        "view 1": [0, 1, 2, 3],
        "view 2": [2, 3, 0, 1],
    }
