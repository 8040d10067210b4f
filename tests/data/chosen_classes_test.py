import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.data import sources


@pytest.fixture
def folders(tmp_path):
    """Nine images in three folders; the pixel's value is its number."""
    for i in range(9):
        folder = tmp_path / "abc"[i % 3]
        folder.mkdir(exist_ok=True)
        data = tf.io.encode_png(tf.fill([3, 3, 3], tf.cast(10 * i, tf.uint8)))
        (folder / f"{i}.png").write_bytes(data.numpy())
    return f"folder:{tmp_path}?labels=folders"


def test_holds_the_classes_in_the_order_named(folders):
    whole = sources.open_source(folders)
    some = sources.open_source(f"classes:c,a:{folders}")
    assert some.classes == ("c", "a")
    assert (some.count, some.shape) == (6, None)
    want = {"a": {0, 3, 6}, "c": {2, 5, 8}}
    for number, name in enumerate(some.classes):
        rows = np.flatnonzero(some.labels == number)
        shown = {int(some.try_read(int(i))[0, 0, 0]) // 10 for i in rows}
        assert shown == want[name]
    assert whole.count == 9
    assert some.fingerprint() != whole.fingerprint()
    for i in range(some.count):
        value = int(some.try_read(i)[0, 0, 0]) // 10
        assert f"{value}.png" in some.where(i)
        pixels = tf.io.decode_png(some.encoded(tf.constant(i, tf.int64)))
        assert int(pixels[0, 0, 0]) == 10 * value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a", "named once each"),
        ("a,a:SET", "named once each"),
        ("a,:SET", "named once each"),
        ("a,d:SET", "has no class 'd'; it has a, b, c"),
        ("a:folder", "'kind:name'"),
    ],
)
def test_says_what_is_wrong(folders, words, said):
    with pytest.raises(ValueError, match=said):
        sources.open_source("classes:" + words.replace("SET", folders))


def test_labels_are_needed(folders):
    with pytest.raises(ValueError, match="A choice of classes needs labels"):
        sources.open_source("classes:a:" + folders.partition("?")[0])
