import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_ssl.data import pipeline, sources, tfds_source
from keras_ssl.data.embedded import builder
from keras_ssl.data.sources import Source, check_classes, open_source

IMAGES = {
    # Kinds and sizes differ; JPEG of one colour keeps it nearly.
    "train/cat/a.png": (7, 5, 10),
    "train/cat/deep/er/b.jpeg": (16, 24, 40),
    "train/dog/c.JPG": (8, 8, 80),
    "train/ant/d.png": (3, 9, 120),
    "test/ant/e.png": (4, 4, 160),
}


def paint(path, height, width, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = tf.fill([height, width, 3], tf.cast(value, tf.uint8))
    png = path.suffix == ".png"
    data = tf.io.encode_png(image) if png else tf.io.encode_jpeg(image, quality=100)
    path.write_bytes(data.numpy())


@pytest.fixture
def folder(tmp_path):
    for name, spec in IMAGES.items():
        paint(tmp_path / name, *spec)
    (tmp_path / "train" / "notes.txt").write_text("not an image")
    return tmp_path


def seen(source):
    """Size and value of every image."""
    found = []
    for i in range(source.count):
        image = source.read(tf.constant(i, tf.int64)).numpy()
        assert image.dtype == np.uint8
        assert np.ptp(image) <= 2
        found.append((*image.shape[:2], int(image.mean().round())))
    return found


TRAIN = [IMAGES[f"train/{n}"] for n in ("ant/d.png", "cat/a.png")]
TRAIN += [IMAGES[f"train/{n}"] for n in ("cat/deep/er/b.jpeg", "dog/c.JPG")]


def test_folder_without_labels(folder):
    source = open_source(f"folder:{folder}")
    assert (source.split, source.count, source.shape) == ("train", 4, None)
    assert source.labels is None
    assert source.classes is None
    assert seen(source) == TRAIN
    assert seen(open_source(f"folder:{folder}", "test")) == [(4, 4, 160)]
    # Without a folder `train`, train is all of it.
    assert open_source(f"folder:{folder}/train").count == 4
    (folder / "train").rename(folder / "other")
    assert open_source(f"folder:{folder}").count == 5


def test_folder_with_labels(folder):
    source = open_source(f"folder:{folder}?labels=folders")
    assert source.classes == ("ant", "cat", "dog")
    np.testing.assert_array_equal(source.labels, [0, 1, 1, 2])
    assert source.labels.dtype == np.int64
    assert seen(source) == TRAIN
    assert source.need_labels("It")[1] == source.classes


def test_folder_reads_grey_and_moving_images(tmp_path):
    grey = tf.io.encode_png(tf.fill([4, 6, 1], tf.cast(90, tf.uint8)))
    (tmp_path / "grey.png").write_bytes(grey.numpy())
    # Two frames of one pixel, the first one black.
    pixel = b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02%s\x01\x00"
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    gif += pixel % b"D" + pixel % b"L" + b"\x3b"
    (tmp_path / "moving.gif").write_bytes(gif)
    assert seen(open_source(f"folder:{tmp_path}")) == [(4, 6, 90), (1, 1, 0)]


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("folder:{}/none", "train", "There is no folder '.*none' .from "),
        ("folder:{}", "val", "has no folder 'val': a split of a folder is a folder"),
        ("folder:{}/empty", "train", r"No images in '.*empty'; looked for .*\.png"),
        (
            "folder:{}?labels=csv",
            "train",
            r"knows '\?labels=folders' only, got '.labels",
        ),
        (
            "folder:{}/train/cat?labels=folders",
            "train",
            r"With \?labels=folders every image of '.*cat' must be in a folder",
        ),
        (
            "folders:{}",
            "train",
            "No dataset named 'folders'. Did you mean 'folder'.*In ",
        ),
        ("cifar10", "train", "Data is named 'kind:name'.*; got 'cifar10'"),
        ("tfds:", "train", "Data is named 'kind:name'.*; got 'tfds:'"),
        ("embedded:128", "train", "comes in sizes 32, 64; got '128'. Say embedded:32"),
    ],
)
def test_mistakes_are_explained(folder, name, split, words):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=words):
        open_source(name.format(folder), split)


def plain(labels=None, classes=None, pixels=0, name="fake:a"):
    held = tf.fill([3, 2, 2, 3], tf.cast(pixels, tf.uint8))
    return Source(
        name, "train", 3, (2, 2, 3), lambda i: tf.gather(held, i), labels, classes
    )


def test_labels_are_needed():
    words = r"kNN needs labels, and 'fake:a' \(split 'train'\) has none.*labels=folders"
    with pytest.raises(ValueError, match=words):
        plain().need_labels("kNN")


def test_classes_must_be_the_same():
    cats, dogs = plain(classes=("cat", "dog")), plain(classes=tuple("abcdefg"))
    check_classes(cats, plain(classes=("cat", "dog")))
    words = (
        r"'fake:a' has classes cat, dog \(2\), 'fake:a' has a, b, c, d, e, \.\.\. \(7\)"
    )
    with pytest.raises(ValueError, match=words):
        check_classes(cats, dogs)
    with pytest.raises(ValueError, match="must have the same"):
        check_classes(cats, plain(classes=("dog", "cat")))


def test_fingerprints_tell_data_apart(folder):
    ones = np.array([0, 1, 1])
    made = [
        plain(),
        plain(pixels=1),
        plain(name="fake:b"),
        plain(ones),
        plain(1 - ones),
        open_source(f"folder:{folder}"),
    ]
    prints = [source.fingerprint() for source in made]
    assert len(set(prints)) == len(prints)
    assert prints == [source.fingerprint() for source in made]
    assert plain(ones.astype(np.int32)).fingerprint() == plain(ones).fingerprint()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The embedded set with a few images."""
    folder = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "TRAIN", 30)
        patch.setattr(builder, "TEST", 10)
        open_source("embedded:32", "train", str(folder))
    return str(folder)


def test_tfds_set_in_memory(data_dir):
    source = open_source("embedded:32", "train", data_dir)
    assert (source.name, source.count, source.shape) == ("embedded:32", 30, (32, 32, 3))
    images = source.read(tf.range(30, dtype=tf.int64))
    assert images.dtype == tf.uint8
    assert images.shape == (30, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(source.labels), [3] * 10)
    assert len(source.classes) == 10
    # An index means an image, in whatever order it is asked for.
    np.testing.assert_array_equal(source.read(tf.constant([7, 3]))[1], images[3])
    raw = tfds.builder("embedded_scenes/32", data_dir=data_dir).as_dataset(
        split="train"
    )
    rows = {row["image"].tobytes(): row["label"] for row in raw.as_numpy_iterator()}
    for image, label in zip(images.numpy(), source.labels, strict=True):
        assert rows[image.tobytes()] == label


def test_parts_of_a_split(data_dir):
    whole = open_source("embedded:32", "train", data_dir)
    part = open_source("embedded:32", "train[10:20]", data_dir)
    assert part.count == 10
    np.testing.assert_array_equal(part.labels, whole.labels[10:20])
    index = tf.range(10, dtype=tf.int64)
    np.testing.assert_array_equal(part.read(index), whole.read(index + 10))
    assert open_source("embedded:32", "test", data_dir).count == 10
    assert part.fingerprint() != whole.fingerprint()


def test_large_sets_stay_in_their_files(data_dir, monkeypatch):
    decoded = open_source("embedded:32", "test", data_dir)
    monkeypatch.setattr(tfds_source, "_DECODED_LIMIT", 1000)
    encoded = open_source("embedded:32", "test", data_dir)
    assert encoded.shape is None
    np.testing.assert_array_equal(encoded.labels, decoded.labels)
    for i in range(10):
        one = encoded.read(tf.constant(i))
        np.testing.assert_array_equal(one, decoded.read(tf.constant([i]))[0])


@pytest.mark.parametrize("split", ["validation", "trian", "nonsense[:3]"])
def test_unknown_splits_list_the_known(data_dir, split):
    with pytest.raises(ValueError, match=r"has no split '.*'; it has test, train\."):
        open_source("embedded:32", split, data_dir)


def test_an_empty_part(data_dir):
    with pytest.raises(
        ValueError, match=r"Split 'train\[:0\]' of 'embedded:32' is empty"
    ):
        open_source("embedded:32", "train[:0]", data_dir)


# More than are read at a time.
COUNT = 1030


class Grey(tfds.core.GeneratorBasedBuilder):
    """Grey pictures without labels, of one or of many sizes."""

    VERSION = tfds.core.Version("1.0.0")
    MODULE_NAME = "keras_ssl_grey"

    def __init__(self, key="image", fails=False, **kwargs):
        self.key, self.fails = key, fails
        super().__init__(**kwargs)

    def _info(self):
        image = tfds.features.Image(shape=(4, 6, 1), encoding_format="png")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({self.key: image})
        )

    def _split_generators(self, dl_manager):
        if self.fails:
            raise OSError("no network here\nsecond line")
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(COUNT):
            yield i, {self.key: np.full((4, 6, 1), i % 250, np.uint8)}


def test_grey_images_get_three_channels(tmp_path):
    made = Grey(data_dir=str(tmp_path))
    source = tfds_source.from_builder("tfds:grey", made, "train")
    assert source.labels is None
    assert source.shape == (4, 6, 3)
    images = source.read(tf.range(COUNT)).numpy()
    assert images.shape == (COUNT, 4, 6, 3)
    assert sorted(images[:, 0, 0, 0]) == sorted(i % 250 for i in range(COUNT))
    assert not np.ptp(images, axis=(1, 2)).any()
    assert not np.ptp(images, axis=-1).any()


def test_a_set_without_images(tmp_path):
    made = Grey("picture", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"no feature 'image'; it has \['picture'\]"):
        tfds_source.from_builder("tfds:grey", made, "train")


def test_a_set_that_cannot_be_prepared(tmp_path):
    made = Grey(fails=True, data_dir=str(tmp_path))
    words = r"is not in .* could not be prepared \(OSError: no network here\)\. Prep"
    with pytest.raises(ValueError, match=words):
        tfds_source.from_builder("tfds:grey", made, "train")


def test_a_set_that_another_run_prepares_meanwhile(tmp_path, monkeypatch):
    made = Grey(data_dir=str(tmp_path))
    examples = made._generate_examples

    def slowly():
        Grey(data_dir=str(tmp_path)).download_and_prepare()
        yield from examples()

    monkeypatch.setattr(made, "_generate_examples", slowly)
    source = tfds_source.from_builder("tfds:grey", made, "train")
    assert source.count == COUNT
    assert source.read(tf.range(2)).shape == (2, 4, 6, 3)
    (folder,) = (tmp_path / "grey").iterdir()
    assert folder.name == "1.0.0"


def test_an_unknown_set(tmp_path):
    words = r"TFDS has no data set 'no_such_set_here' \(nor is it in .*\)\. Check"
    with pytest.raises(ValueError, match=words):
        open_source("tfds:no_such_set_here", data_dir=str(tmp_path))


def test_a_prepared_set_is_found_by_its_name(data_dir):
    source = sources.open_source("tfds:embedded_scenes/32", "test", data_dir)
    assert source.count == 10
    assert source.name == "tfds:embedded_scenes/32"


@pytest.mark.parametrize("options", ["{}", "labels=folders&{}", "{}&labels=folders"])
def test_the_limit_of_pixels_is_the_sources(tmp_path, capsys, options):
    (tmp_path / "a").mkdir()
    for name, side in (("small", 8), ("wide", 20)):
        pixels = tf.io.encode_png(tf.zeros([8, side, 3], tf.uint8))
        tf.io.write_file(str(tmp_path / "a" / f"{name}.png"), pixels)
    for most, read in ((160, [True, True]), (159, [True, False])):
        name = f"folder:{tmp_path}?{options.format(f'max_pixels={most}')}"
        source = sources.open_source(name)
        assert (source.name, source.max_pixels) == (name, most)
        assert (source.classes == ("a",)) == ("labels" in options)
        assert [source.try_read(i) is not None for i in range(2)] == read
    words = "height and width 8 20 make 160 and ?max_pixels= of the source is 159"
    assert f"wide.png (Too many pixels: {words})" in capsys.readouterr().err
    # Scores are of what is asked for by the same name.
    index = [i for i, _ in pipeline.numbered_batches(source, 4, max_corrupt=0.5)]
    assert np.concatenate(index).tolist() == [0]


def test_training_has_the_same_limit(tmp_path):
    for name, side in (("small", 8), ("wide", 20)):
        pixels = tf.io.encode_png(tf.zeros([8, side, 3], tf.uint8))
        tf.io.write_file(str(tmp_path / f"{name}.png"), pixels)
    source = sources.open_source(f"folder:{tmp_path}?max_pixels=159")

    def views(images, seeds):
        del seeds
        return (pipeline.square(images, 4),)

    batches = pipeline.training_batches(source, views, 2, 0, max_corrupt=0.5)
    assert next(iter(batches))["index"].numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder:x?max_pixels=many", "positive whole number, got 'many'"),
        ("folder:x?max_pixels=0", "positive whole number, got '0'"),
        ("embedded:32?max_pixels=100", "image files of any size; 'embedded:32.* has"),
    ],
)
def test_limits_that_are_none(name, words):
    with pytest.raises(ValueError, match=words):
        sources.open_source(name)
