import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations.audio import AudioWindows
from keras_ssl.data import pipeline, sources
from tests import tones


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tones.prepare(tmp_path_factory.mktemp("tones"))


def numbers(source):
    """Which recording stands at each index: TFDS shuffles them once."""
    known = {tones.waveform(i).tobytes(): i for i in range(source.count)}
    found = [source.try_read(i).numpy() for i in range(source.count)]
    return [known[wave.tobytes()] for wave in found]


def test_recordings_are_read_as_they_are(folder):
    source = sources.open_source(tones.NAME, "train", folder)
    assert (source.kind, source.count, source.shape) == ("audio", 48, None)
    order = numbers(source)
    assert sorted(order) == list(range(48))
    assert source.classes == ("plain", "rich")
    np.testing.assert_array_equal(source.labels, [i % 2 for i in order])
    assert source.fingerprint() == source.fingerprint()
    part = sources.open_source(tones.NAME, "train[:10]", folder)
    np.testing.assert_array_equal(
        part.read(tf.constant(3)), source.read(tf.constant(3))
    )


def test_labels_are_chosen(folder):
    name = tones.NAME.replace("voice", "pitch")
    source = sources.open_source(name, "test", folder)
    assert source.classes == ("low", "middle", "high")
    # No feature `label` in this set, and none asked for.
    source = sources.open_source("tfds:tones?audio=audio", "test", folder)
    assert source.labels is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", r"no feature 'image'; it has \['audio', 'number', 'pitch', 'voice'\]"),
        ("?audio=sound", r"no feature 'sound'.*\?audio=FEATURE"),
        ("?audio=audio&label=speaker", "no feature 'speaker'"),
        ("?audio=audio&label=number", "'number' of .* is no class label"),
        ("?audio=pitch", r"'pitch' of .* has shape \(\)"),
        ("?image=audio", r"'audio' of .* has shape \(None,\)"),
        ("?audio=audio&image=audio", "knows the options image=FEATURE or audio="),
        ("?sound=audio", "knows the options"),
        ("?audio=", "knows the options"),
    ],
)
def test_errors_of_options(folder, options, words):
    with pytest.raises(ValueError, match=words):
        sources.open_source(f"tfds:tones{options}", "train", folder)


def test_kinds_are_not_mixed(folder):
    source = sources.open_source(tones.NAME, "train", folder)
    sources.check_kind(source, "audio")
    with pytest.raises(
        ValueError, match=r"takes image data and 'tfds:tones.* is audio"
    ):
        sources.check_kind(source, "image")


def test_training_batches_are_windows_of_the_named_recordings(folder):
    source = sources.open_source(tones.NAME, "train", folder)
    order = numbers(source)
    made = pipeline.training_batches(source, AudioWindows(500, 2), 8, seed=3)
    assert made.element_spec["views"][0].shape == (8, 500)
    batches = list(made.take(3).as_numpy_iterator())
    for batch in batches:
        for view in batch["views"]:
            assert view.dtype == np.float32
            for row, index in zip(view, batch["index"], strict=True):
                whole = tones.waveform(order[index]) / np.float32(2**15)
                padded = np.pad(whole, [0, max(0, 500 - len(whole))])
                starts = range(len(padded) - 499)
                assert any(np.array_equal(row, padded[s : s + 500]) for s in starts)
    late = pipeline.training_batches(source, AudioWindows(500, 2), 8, 3, start_step=2)
    again = next(late.as_numpy_iterator())
    np.testing.assert_array_equal(again["views"][1], batches[2]["views"][1])


def test_evaluations_see_the_middle_of_each_recording(folder):
    source = sources.open_source(tones.NAME, "test", folder)
    order = numbers(source)
    shown = np.concatenate(list(pipeline.evaluation_batches(source, 500, 5)))
    assert shown.shape == (12, 500)
    for row, i in zip(shown, order, strict=True):
        whole = tones.waveform(i) / np.float32(2**15)
        first = max(0, len(whole) - 500) // 2
        middle = whole[first : first + 500]
        np.testing.assert_array_equal(row[: len(middle)], middle)
        assert not row[len(middle) :].any()


def test_tfds_images_by_another_feature(tmp_path):
    import tensorflow_datasets as tfds

    class Pairs(tfds.core.GeneratorBasedBuilder):
        """Two images an example."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(4, 4, 3))
            kind = tfds.features.ClassLabel(names=["a", "b"])
            features = {"left": image, "right": image, "kind": kind}
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(4):
                left, right = (np.full((4, 4, 3), v, np.uint8) for v in (i, 100 + i))
                yield i, {"left": left, "right": right, "kind": i % 2}

    Pairs(data_dir=str(tmp_path)).download_and_prepare()
    name = "tfds:pairs?image=right&label=kind"
    source = sources.open_source(name, "train", str(tmp_path))
    assert source.kind == "image"
    pixels = source.read(tf.range(4, dtype=tf.int64)).numpy()[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(pixels), [100, 101, 102, 103])
    np.testing.assert_array_equal(source.labels, pixels % 2)
