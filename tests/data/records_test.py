import gzip

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_ssl.data import pipeline, records, tfds_source
from keras_ssl.data.sources import open_source

SIZES = (3, 1, 5)


def png(value, height=3, width=4):
    return tf.io.encode_png(
        tf.fill([height, width, 3], tf.cast(value, tf.uint8))
    ).numpy()


def example(number, key="image/encoded", **more):
    def of(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {key: of(png(number, 3 + number)), "name": of(b"picture %d" % number)}
    features |= {name: of(value) for name, value in more.items()}
    features["label"] = tf.train.Feature(
        int64_list=tf.train.Int64List(value=[number % 4])
    )
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()


def write(path, contents, kind=""):
    with tf.io.TFRecordWriter(str(path), kind) as file:
        for content in contents:
            file.write(content)


@pytest.fixture
def folder(tmp_path):
    """Three files of nine examples in all, and a tenth for testing."""
    number = iter(range(10))
    for i, size in enumerate(SIZES):
        write(tmp_path / f"train-{i}", [example(next(number)) for _ in range(size)])
    write(tmp_path / "test-0", [example(next(number))])
    return tmp_path


def test_records_are_found_and_read_in_any_order(tmp_path):
    contents = [bytes([i]) * (1 + 1000 * i) for i in range(9)]
    files = []
    for i, rows in enumerate(np.split(np.arange(9), np.cumsum(SIZES))):
        files.append(str(tmp_path / f"{i}"))
        write(files[-1], [contents[row] for row in rows])  # The last one is empty.
    found = records.find(files)
    assert len(found) == 9
    read = found.reader()
    for i in (8, 0, 3, 4, 7, 0):
        assert read(tf.constant(i, tf.int64)).numpy() == contents[i]
    rows = found.part(slice(2, 5))
    assert [len(rows.reader()(tf.constant(i)).numpy()) for i in range(3)] == [
        2001,
        3001,
        4001,
    ]
    assert rows.where(1) == f"{files[1]}, at byte 0"


def test_files_without_places_are_refused(tmp_path):
    path = tmp_path / "a"
    write(path, [b"x" * 500] * 3, "GZIP")
    with pytest.raises(ValueError, match="no TFRecord file, or a compressed one"):
        records.find([str(path)])
    path.write_bytes(gzip.compress(b"text"))
    with pytest.raises(ValueError, match="no TFRecord file, or a compressed one"):
        records.find([str(path)])
    write(path, [b"x" * 500] * 3)
    for cut in (1, 400, 515):
        (tmp_path / "b").write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(ValueError, match="ends within the record at byte 1032"):
            records.find([str(tmp_path / "b")])


def values(source):
    images = [
        source.read(tf.constant(i, tf.int64)).numpy() for i in range(source.count)
    ]
    return [int(image[0, 0, 0]) for image in images], [len(image) for image in images]


def test_images_of_records(folder):
    source = open_source(f"tfrecord:{folder}/train-?")
    assert (source.count, source.shape, source.labels) == (9, None, None)
    assert values(source) == (list(range(9)), list(range(3, 12)))
    part = open_source(f"tfrecord:{folder}/train-*", "train[2:50%]")
    assert values(part)[0] == [2, 3]
    assert open_source(f"tfrecord:{folder}/{{split}}-?", "test[:1]").count == 1
    assert source.fingerprint() != part.fingerprint()
    batches = pipeline.evaluation_batches(source, 3, 4)
    assert [len(batch) for batch in batches] == [4, 4, 1]


def test_labels_of_records(folder):
    name = f"tfrecord:{folder}/{{split}}-?" + "?image=image/encoded&label=label"
    source = open_source(name)
    labels, classes = source.need_labels("It")
    assert classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(labels, np.arange(9) % 4)
    np.testing.assert_array_equal(labels[np.array([5, 2])], [1, 2])
    many = open_source(f"{name}&classes=6", "test")
    assert many.classes == ("0", "1", "2", "3", "4", "5")
    np.testing.assert_array_equal(many.labels[np.array([0])], [1])


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("{}/nothing-*", "train", "No files match '.*nothing-"),
        ("{}/train-?", "test", "has no split 'test', only 'train'. Write {split}"),
        ("{}/train-?", "train[:0]", r"Split 'train\[:0\]' of .* is empty"),
        ("{}/train-??image=picture", "train", "no feature 'picture'; it has image/enc"),
        ("{}/train-??label=digit", "train", "no feature 'digit'; it has image/encod"),
        ("{}/train-??image=", "train", "knows the options image=FEATURE, label=FEAT"),
        ("{}/train-??pixels=a", "train", "classes=COUNT; got 'pixels=a'"),
        ("{}/two", "train", "2 features hold an image, of image/encoded, label, name"),
        ("{}/none", "train", "no features hold an image, of label, name, text"),
        ("{}/other", "train", "no record with a tf.train.Example"),
    ],
)
def test_mistakes_are_explained(folder, name, split, words):
    write(folder / "two", [example(1, other=png(3))])
    plain = tf.train.Example.FromString(example(1, key="text"))
    plain.features.feature["text"].bytes_list.value[0] = b"none"
    write(folder / "none", [plain.SerializeToString()])
    write(folder / "other", [b"\xff\xff no example"])
    with pytest.raises(ValueError, match=words):
        open_source("tfrecord:" + name.format(folder), split)


def test_a_record_that_cannot_be_read(folder, capsys):
    path = folder / "train-2"
    content = bytearray(path.read_bytes())
    content[-20] ^= 255  # Now the checksum is wrong.
    path.write_bytes(content)
    source = open_source(f"tfrecord:{folder}/train-??label=label")
    assert source.try_read(8) is None
    assert source.labels[np.array([8, 7])].tolist() == [-1, 3]
    index = [i for i, _ in pipeline.numbered_batches(source, 3, 4, max_corrupt=0.2)]
    assert np.concatenate(index).tolist() == list(range(8))
    assert f"{path}, at byte " in capsys.readouterr().err


class Sizes(tfds.core.GeneratorBasedBuilder):
    """Pictures of differing sizes over two files."""

    VERSION = tfds.core.Version("1.0.0")
    MODULE_NAME = "keras_ssl_sizes"

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
            "size": tf.int64,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(40):
            image = np.full((2 + i % 7, 3, 3), i, np.uint8)
            yield i, {"image": image, "label": i % 3, "size": 2 + i % 7}


@pytest.mark.parametrize("split", ["train", "train[30%:60%]", "train[-5:]+train[:3]"])
def test_sets_of_differing_sizes_stay_in_their_files(tmp_path, split):
    builder = Sizes(data_dir=str(tmp_path))
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=2)
    )
    source = tfds_source.from_builder("tfds:sizes", builder, split)
    config = tfds.ReadConfig(interleave_cycle_length=1)
    want = list(builder.as_dataset(split=split, read_config=config).as_numpy_iterator())
    assert source.count == len(want)
    assert source.classes == ("a", "b", "c")
    for i, row in enumerate(want):
        np.testing.assert_array_equal(source.read(tf.constant(i)), row["image"])
    np.testing.assert_array_equal(source.labels, [row["label"] for row in want])


def test_sets_of_other_files_beyond_memory_are_refused(tmp_path, monkeypatch):
    builder = Sizes(data_dir=str(tmp_path))
    builder.download_and_prepare()
    monkeypatch.setattr(tfds_source, "_ENCODED_LIMIT", 10)
    other = tfds.core.FileFormat.ARRAY_RECORD
    monkeypatch.setattr(type(builder.info), "file_format", other)
    with pytest.raises(ValueError, match=r"in array_record files.*'train\[:10%\]'"):
        tfds_source.from_builder("tfds:sizes", builder, "train")


def test_a_file_that_leads_astray_is_refused_and_what_is_lost_is_said(tmp_path):
    path = tmp_path / "b"
    write(tmp_path / "a", [b"first"] * 2)
    write(path, [bytes([i]) * 100 for i in range(5)])
    whole = path.read_bytes()
    each = len(whole) // 5
    path.write_bytes(whole[: 3 * each + 50])
    with pytest.raises(
        ValueError, match=rf"/b' ends within the record at byte {3 * each}.*3 whole"
    ):
        records.find([str(tmp_path / "a"), str(path)])
    for length in (90, 101, 2**40, 2**64 - 1):
        wrong = length.to_bytes(8, "little")
        path.write_bytes(whole[: 2 * each] + wrong + whole[2 * each + 8 :])
        with pytest.raises(
            ValueError, match=rf"its record 2, at byte {2 * each}, .*the 2 before"
        ):
            records.find([str(tmp_path / "a"), str(path)])
