import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_ssl.data import dense_batches, tfds_source
from keras_ssl.data.rows import rows_of
from keras_ssl.data.sources import open_source
from keras_ssl.data.truth import Truth, check_same

COUNT = 6
BOXES = [[0.0, 0.25, 0.5, 1.0], [0.5, 0.0, 1.0, 0.5]]


class Places(tfds.core.GeneratorBasedBuilder):
    """Pictures whose every value is the number of the example, with all truths."""

    VERSION = tfds.core.Version("1.0.0")
    MODULE_NAME = "keras_ssl_places"

    def _info(self):
        features = tfds.features
        flat = features.Image(shape=(None, None, 1), encoding_format="png")
        return self.dataset_info_from_configs(
            features=features.FeaturesDict(
                {
                    "image": features.Image(shape=(4, 6, 3)),
                    "instances": flat,
                    "classes": features.LabeledImage(
                        labels=["sky", "sea"], shape=(4, 6, 1)
                    ),
                    "far": features.Tensor(shape=(4, 6), dtype=np.float16),
                    "objects": features.Sequence(
                        {
                            "bbox": features.BBoxFeature(),
                            "label": features.ClassLabel(names=["cat", "dog"]),
                        }
                    ),
                    "one": features.BBoxFeature(),
                    "kind": features.ClassLabel(names=["cat", "dog"]),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(COUNT):
            number = np.full((4, 6, 1), i, np.uint8)
            far = np.full((4, 6), i + 0.5, np.float16)
            far[0, :3] = (np.inf, np.nan, -1)
            pairs = zip(BOXES, (0, 1), strict=True)
            objects = [
                {"bbox": tfds.features.BBox(*box), "label": c} for box, c in pairs
            ]
            yield (
                i,
                {
                    "image": np.full((4, 6, 3), i, np.uint8),
                    "instances": number,
                    "classes": number % 2,
                    "far": far,
                    "objects": objects[: i % 3],
                    "one": objects[0]["bbox"],
                    "kind": 1,
                },
            )


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    made = Places(data_dir=str(tmp_path_factory.mktemp("places")))
    made.download_and_prepare()

    def opened(split="train", **options):
        return tfds_source.from_builder("tfds:places", made, split, options)

    return opened


def examples(source, kind):
    """The number of each example, and its truth."""
    for _, images, truths in dense_batches.dense_batches(source, kind, 4, 4):
        for image, truth in zip(images, truths, strict=True):
            yield round(float(image[0, 0, 0]) * 255), truth


@pytest.mark.parametrize("split", ["train", "train[1:5]"])
def test_an_index_means_an_image_and_its_truth(opened, split):
    source = opened(split, instances="instances")
    assert (source.truth.kind, source.truth.classes[1]) == ("mask", "object")
    found = dict(examples(source, "mask"))
    assert len(found) == source.count
    for i, mask in found.items():
        assert (mask.dtype, mask.shape) == (np.int32, (4, 6))
        assert (mask == min(i, 1)).all()
    some = rows_of(opened(split, depth="instances"), np.array([3, 1]))
    for i in range(2):
        image = int(some.read([i])[0, 0, 0, 0])
        assert some.truth.read(tf.constant(i, tf.int64)).numpy().max() == image


def test_classes_of_pixels(opened):
    source = opened(mask="classes")
    assert source.truth.classes == ("sky", "sea")
    assert {(i % 2, m[0, 0]) for i, m in examples(source, "mask")} == {(0, 0), (1, 1)}
    assert opened(mask="instances").truth.classes is None


def test_depth_that_is_not_known_is_zero(opened):
    for i, depth in examples(opened(depth="far"), "depth"):
        assert depth.dtype == np.float32
        np.testing.assert_array_equal(depth[0, :4], [0, 0, 0, i + 0.5])
        assert (depth[1:] == i + 0.5).all()
    assert {d.max() for _, d in examples(opened(depth="instances"), "depth")} == set(
        range(COUNT)
    )


def test_boxes_are_as_many_as_there_are(opened):
    source = opened(boxes="objects/bbox", box_label="objects/label")
    assert source.truth.classes == ("cat", "dog")
    for i, (boxes, classes) in examples(source, "boxes"):
        want = np.array(BOXES, np.float32)[: i % 3].reshape(-1, 4)
        np.testing.assert_array_equal(boxes, want)
        np.testing.assert_array_equal(classes, np.arange(i % 3))
        assert classes.dtype == np.int64
    alone = opened(boxes="one", box_label="kind")
    for _, (boxes, classes) in examples(alone, "boxes"):
        np.testing.assert_array_equal(boxes, BOXES[:1])
        np.testing.assert_array_equal(classes, [1])


def test_fingerprints_cover_the_truth(opened):
    asked = [{}, {"instances": "instances"}, {"mask": "instances"}, {"mask": "classes"}]
    prints = [opened(**options).fingerprint() for options in asked]
    assert len(set(prints)) == 4
    assert prints[1] == opened(instances="instances").fingerprint()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": "masks"}, r"no feature 'masks'; it has .*'far'.*mask=FEATURE"),
        ({"mask": "image"}, r"'image' .* of shape \(4, 6, 3\) and type uint8; mask="),
        ({"mask": "far"}, "type float16; mask= needs a whole number at each pixel"),
        ({"depth": "objects/label"}, "is a sequence; depth= needs a number at each"),
        ({"mask": "objects"}, "is made of parts; say which one mask= means"),
        ({"mask": "classes", "depth": "far"}, "one truth, and mask and depth are"),
        ({"boxes": "objects/bbox"}, "needs the classes of the boxes too"),
        ({"box_label": "kind"}, "say boxes=FEATURE too"),
        ({"boxes": "far", "box_label": "kind"}, "'far' .* is not a box, nor"),
        ({"boxes": "one", "box_label": "far"}, "'far' .* is not a class, nor"),
        ({"boxes": "objects/bbox", "box_label": "kind"}, "many of 'objects/bbox' and "),
    ],
)
def test_mistakes_are_explained_at_opening(opened, options, words):
    with pytest.raises(ValueError, match=words):
        opened(**options)


def test_a_truth_that_is_needed(opened):
    with pytest.raises(ValueError, match=r"It needs the depth .*'tfds:places' has non"):
        opened().need_truth("It", "depth")
    with pytest.raises(ValueError, match=r"has mask instead.*truth=boxes"):
        opened(mask="classes").need_truth("It", "boxes")
    mask, other = (opened(mask=f).truth for f in ("classes", "instances"))
    check_same(mask, dataclasses.replace(mask))
    with pytest.raises(ValueError, match="'mask of sky, sea' and test 'mask'"):
        check_same(mask, other)
    with pytest.raises(ValueError, match="'mask' and test 'none'"):
        check_same(other, None)


def test_a_truth_that_cannot_be_read_has_a_digest():
    def read(index):
        raise tf.errors.DataLossError(None, None, "lost")

    assert Truth("mask", read).digest(0) == b"unreadable"


def test_truths_of_the_embedded_set():
    for option in ("truth=label", "mask=mask", "truth="):
        with pytest.raises(ValueError, match=rf"truth=boxes' only, got '\?{option}'"):
            open_source(f"embedded:32?{option}")
    boxes = open_source("embedded:32?truth=boxes", "test[:40]")
    assert boxes.truth.classes == boxes.classes
    mask = open_source("embedded:32?truth=mask", "test[:40]").truth
    assert mask.classes == ("background", "object", "occluder")
    depth = open_source("embedded:32?truth=depth", "test[:40]").truth
    for i in range(0, 40, 13):
        index = tf.constant(i, tf.int64)
        rows, columns = np.nonzero(mask.read(index).numpy() == 1)
        want = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        box, label = boxes.truth.read(index)
        np.testing.assert_array_equal(box.numpy()[0] * 32, want)
        assert int(label[0]) == boxes.labels[i]
        assert depth.read(index).numpy().min() > 0
