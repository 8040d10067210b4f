import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks.pictures import draw_map


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
