import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks.box_pictures import draw_boxes

NONE = np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)
FOUND = np.array([[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1]]), np.array([0.9, 0.1]), [0, 1]


def coloured(path):
    """Share of the picture's pixels that have a colour of a class."""
    picture = tf.io.decode_png(path.read_bytes()).numpy()[..., :3].astype(int)
    blue, orange = ((31, 119, 180), (255, 127, 14))
    return [(np.abs(picture - c).sum(-1) < 30).mean() for c in (blue, orange)]


def test_boxes_are_drawn_in_the_colours_of_their_classes(tmp_path):
    grey = [np.full((8, 8, 3), 0.5, np.float32)]
    cases = {
        "none": ([NONE], None),
        "found": ([FOUND], None),
        "truth": ([NONE], [(FOUND[0][1:], [1])]),
    }
    got = {}
    for name, (found, truth) in cases.items():
        path = tmp_path / "made" / f"{name}.png"
        draw_boxes(path, grey, found, ("cat", "dog"), truth)
        got[name] = coloured(path)
    assert got["none"] == [0, 0]
    # The second one's score is too low.
    assert got["found"][0] > 1e-3 > got["found"][1] == 0
    assert got["truth"][1] > 1e-3 > got["truth"][0] == 0


def test_each_image_needs_its_boxes(tmp_path):
    with pytest.raises(ValueError, match="2 images, and boxes of 1, truth of 2"):
        draw_boxes(tmp_path / "x.png", [np.zeros((4, 4, 3))] * 2, [NONE], ("cat",))
