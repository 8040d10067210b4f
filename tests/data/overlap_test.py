import pytest

from keras_ssl.data.overlap import check_apart
from keras_ssl.data.sources import Source


def of(split, name="fake:a"):
    return Source(name, split, 1, None, lambda index: index)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "train"),
        ("train", "train[:10%]"),
        ("train[:64]", "train[:10%]"),
        ("train[:90%]", "train[89%:]"),
        ("train[10:20]", "train[19:30]"),
        ("train[90%:]", "train[5:]"),
        ("train[-10%:]", "train[-5%:]"),
        ("test+train", "train[:1]"),
    ],
)
def test_splits_that_share_images(train, test):
    with pytest.raises(ValueError, match="share images"):
        check_apart(of(train), of(test))
    with pytest.raises(ValueError, match="share images"):
        check_apart(of(test), of(train))
    check_apart(of(train), of(test, "fake:b"))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("train[:90%]", "train[90%:]"),
        ("train[10:20]", "train[20:30]"),
        ("train[:100]", "train[50%:]"),
        ("train+validation", "test[:10]"),
        ("train[a]", "train[b]"),
    ],
)
def test_splits_that_share_none_for_sure(train, test):
    check_apart(of(train), of(test))
