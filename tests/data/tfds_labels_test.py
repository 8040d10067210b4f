import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_ssl.data import tfds_source
from keras_ssl.evaluation.data import EvaluationData

CLASSES = ("boat", "cat", "dog")
# Classes of the objects of each picture, and which of these are hard to tell.
OBJECTS = ([0, 0], [1, 2], [], [2, 1, 2], [2, 0])
DIFFICULT = ([1, 1], [0, 0], [], [0, 1, 1], [1, 0])
SHOWN = [[1, -1, -1], [-1, 1, 1], [-1, -1, -1], [-1, 1, 1], [1, -1, 1]]
CERTAIN = [[0, -1, -1], [-1, 1, 1], [-1, -1, -1], [-1, 0, 1], [1, -1, 0]]


class Scenes(tfds.core.GeneratorBasedBuilder):
    """Pictures of several objects each, with the features of VOC 2007."""

    VERSION = tfds.core.Version("1.0.0")
    MODULE_NAME = "keras_ssl_scenes"

    def __init__(self, shape=(4, 6, 3), **kwargs):
        self.image_shape = shape
        super().__init__(**kwargs)

    def _info(self):
        label = tfds.features.ClassLabel(names=CLASSES)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=self.image_shape),
                    "number": np.int64,
                    "objects": tfds.features.Sequence(
                        {"label": label, "is_difficult": np.bool_}
                    ),
                    "labels": tfds.features.Sequence(label),
                    "labels_no_difficult": tfds.features.Sequence(label),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, (labels, hard) in enumerate(zip(OBJECTS, DIFFICULT, strict=True)):
            pairs = list(zip(labels, hard, strict=True))
            yield (
                i,
                {
                    "image": np.full((4, 6, 3), i, np.uint8),
                    "number": i,
                    "objects": [{"label": a, "is_difficult": b} for a, b in pairs],
                    "labels": sorted(set(labels)),
                    "labels_no_difficult": sorted({a for a, b in pairs if not b}),
                },
            )


@pytest.fixture(scope="module", params=[(4, 6, 3), (None, None, 3)], ids=str)
def scenes(request, tmp_path_factory):
    """In memory, or in files as images of several sizes are."""
    folder = tmp_path_factory.mktemp("scenes")
    made = Scenes(request.param, data_dir=str(folder))
    made.download_and_prepare()

    def opened(**options):
        return tfds_source.from_builder("tfds:scenes", made, "train", options)

    return opened


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"label": "labels"}, SHOWN),
        ({"label": "objects/label"}, SHOWN),
        ({"label": "labels", "certain": "labels_no_difficult"}, CERTAIN),
    ],
)
def test_signs_of_each_image(scenes, options, want):
    source = scenes(**options)
    assert source.multi_label
    assert source.classes == CLASSES
    labels, _ = source.need_labels("It", several=True)
    # Images are all of one value, the number of their example.
    number = [int(source.try_read(i)[0, 0, 0]) for i in range(source.count)]
    assert sorted(number) == list(range(5))
    np.testing.assert_array_equal(labels[np.arange(5)], np.array(want)[number])
    other = scenes(label="labels", certain="labels")
    assert (source.fingerprint() == other.fingerprint()) == (want == SHOWN)


def test_one_label_is_needed(scenes):
    source = scenes(label="labels")
    with pytest.raises(ValueError, match="any number of them, of 3 classes"):
        source.need_labels("kNN")
    other = dataclasses.replace(source, split="test")
    data = EvaluationData(source, other, 4)
    with pytest.raises(ValueError, match="needs one label an image"):
        data.features(lambda images: images[:, 0, 0])
    assert data.features(lambda x: x[:, 0, 0], several=True).test_labels.shape == (5, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label": "objects/labels"}, "no feature 'objects/labels'; it has .*'label'"),
        ({"label": "classes"}, "no feature 'classes'; it has .*'labels'"),
        ({"label": "number"}, "'number' of 'tfds:scenes' is no class label"),
        ({"label": "labels", "certain": "number"}, "a sequence of the same classes"),
    ],
)
def test_mistakes_are_explained(scenes, options, words):
    with pytest.raises(ValueError, match=words):
        scenes(**options)
