"""Features of a source as a file: right rows, whatever is broken or stopped."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pyarrow import parquet

from keras_ssl.core import durable, run_dir
from keras_ssl.data.pipeline import square
from keras_ssl.export.feature_parts import FeatureParts
from keras_ssl.runs import encoders, extract
from keras_ssl.runs.extract import Extract
from tests.made_run import made_run

BROKEN = (3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 41)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """42 images of two classes and of several sizes; twelve cannot be read."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(42):
        path = root / "ab"[i >= 21] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        if i in BROKEN:
            path.write_text("no image")
        else:
            pixels = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
            Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of ten: the second has nothing that can be read."""
    monkeypatch.setattr(extract, "_ROWS", 10)


def request(photos, **changes):
    return Extract(f"folder:{photos}?labels=folders", batch_size=5, **changes)


@pytest.fixture(scope="module")
def unbroken(run, photos, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract, "_ROWS", 10)
        out = tmp_path_factory.mktemp("out") / "features"
        record = extract.extract(str(run), str(out), request(photos))
    return out, record


def columns(out):
    with np.load(out / "features.npz") as found:
        return {name: found[name] for name in found.files}


def test_rows_are_the_images_that_can_be_read(run, photos, unbroken):
    out, record = unbroken
    found = columns(out)
    assert list(found) == ["index", "id", "label", "features"]
    kept = [i for i in range(42) if i not in BROKEN]
    assert found["index"].tolist() == kept
    assert found["label"].tolist() == [int(i >= 21) for i in kept]
    paths = [str(photos / "ab"[i >= 21] / f"{i:02d}.png") for i in range(42)]
    assert found["id"].tolist() == [paths[i] for i in kept]
    encoder = encoders.load(run)[0]
    for row, i in enumerate(kept):
        pixels = np.asarray(Image.open(paths[i]))[None]
        want = encoder(square(tf.constant(pixels), 32), training=False)
        np.testing.assert_allclose(
            found["features"][row], want[0], rtol=1e-4, atol=1e-5
        )
    with (out / "skipped.csv").open() as file:
        skipped = list(csv.reader(file))
    assert skipped[0] == ["index", "id", "reason"]
    assert [(int(i), path) for i, path, _ in skipped[1:]] == [
        (i, paths[i]) for i in BROKEN
    ]
    assert all("Unknown image file format" in reason for *_, reason in skipped[1:])
    assert (record["written"], record["skipped"]) == (30, 12)
    assert record == run_dir.read_json(out / "extract.json")
    names = {path.name for path in out.iterdir()}
    assert names == {"features.npz", "skipped.csv", "extract.json"}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 2])
def test_one_that_is_stopped_goes_on(
    run, photos, unbroken, tmp_path, monkeypatch, stop
):
    out, write, encoded = tmp_path / "out", FeatureParts.write, []

    def stopped(self, part, columns, skipped):
        if part == stop:
            raise KeyboardInterrupt
        write(self, part, columns, skipped)

    monkeypatch.setattr(FeatureParts, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        extract.extract(str(run), str(out), request(photos))
    changed = extract.dataclasses.replace(request(photos), batch_size=6)
    with pytest.raises(ValueError, match="batch_size is 6 and was 5"):
        extract.extract(str(run), str(out), changed)

    def counted(self, part, columns, skipped):
        encoded.append(part)
        write(self, part, columns, skipped)

    monkeypatch.setattr(FeatureParts, "write", counted)
    record = extract.extract(str(run), str(out), request(photos))
    assert encoded == list(range(stop, 5))
    assert record == unbroken[1]
    for name, want in columns(unbroken[0]).items():
        np.testing.assert_array_equal(columns(out)[name], want)
    assert (out / "skipped.csv").read_text() == (
        unbroken[0] / "skipped.csv"
    ).read_text()


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(
    run, photos, unbroken, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    real = extract.feature_files.KINDS["npz"]

    def full(parts, path):
        real(parts, path)
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(extract.feature_files.KINDS, "npz", full)
    with pytest.raises(durable.WriteError, match="No space left"):
        extract.extract(str(run), str(out), request(photos))
    assert not [path for path in out.iterdir() if "features" in path.name]
    monkeypatch.undo()
    monkeypatch.setattr(extract, "_ROWS", 10)
    extract.extract(str(run), str(out), request(photos))
    for name, want in columns(unbroken[0]).items():
        np.testing.assert_array_equal(columns(out)[name], want)


@pytest.mark.slow
def test_other_formats_hold_the_same(run, photos, unbroken, tmp_path):
    want = columns(unbroken[0])
    out = tmp_path / "parquet"
    extract.extract(str(run), str(out), request(photos, format="parquet"))
    table = parquet.read_table(out / "features.parquet")
    for name, values in want.items():
        assert table[name].to_pylist() == values.tolist()
    out = tmp_path / "tfrecord"
    extract.extract(str(run), str(out), request(photos, format="tfrecord"))
    rows = list(tf.data.TFRecordDataset(str(out / "features.tfrecord")))
    assert len(rows) == len(want["index"])
    for row, data in enumerate(rows):
        feature = tf.train.Example.FromString(data.numpy()).features.feature
        assert feature["index"].int64_list.value[0] == want["index"][row]
        assert feature["label"].int64_list.value[0] == want["label"][row]
        assert feature["id"].bytes_list.value[0].decode() == want["id"][row]
        np.testing.assert_array_equal(
            np.array(feature["features"].float_list.value, np.float32),
            want["features"][row],
        )


def test_a_layer_and_no_labels(run, tmp_path):
    asked = Extract("embedded:32", "test[:12]", layer="stage1", batch_size=8)
    extract.extract(str(run), str(tmp_path / "out"), asked)
    found = columns(tmp_path / "out")
    images = extract.sources.open_source("embedded:32", "test[:12]").read(tf.range(12))
    maps = encoders.load(run)[0].maps(square(images, 32), training=False)
    want = tf.reduce_mean(maps["stage1"], axis=[1, 2])
    np.testing.assert_allclose(found["features"], want, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_extracted(run, photos, unbroken, tmp_path):
    def refused(match, out=tmp_path / "out", **changes):
        with pytest.raises(ValueError, match=match):
            extract.extract(str(run), str(out), request(photos, **changes))
        assert out == unbroken[0] or not out.exists()

    refused("features.npz exists; remove it", unbroken[0])
    refused("format must be one of npz, parquet, tfrecord, got 'csv'", format="csv")
    refused("layer must be one of stage1, stage2, got 'stage9'", layer="stage9")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").touch()
    with pytest.raises(ValueError, match="holds something else"):
        extract.extract(str(run), str(other), request(photos))
    bad = tmp_path / "bad"
    bad.mkdir()
    for i in range(3):
        (bad / f"{i}.png").write_text("no image")
    asked = Extract(f"folder:{bad}")
    with pytest.raises(ValueError, match="None of the 3 examples"):
        extract.extract(str(run), str(tmp_path / "none"), asked)
