import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_ssl.data.embedded import builder, colours, draws, scenes, shapes
from keras_ssl.data.embedded.sketch import DRAWS
from keras_ssl.data.embedded.strengths import Strengths

COUNT = 400


@pytest.fixture(scope="module")
def drawn():
    return scenes.render(0, range(COUNT), 32)


def _equal(first, second):
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_shapes_and_types(drawn):
    assert drawn["image"].shape == (COUNT, 32, 32, 3)
    assert drawn["mask"].shape == drawn["depth"].shape == (COUNT, 32, 32, 1)
    for name in ("image", "mask", "depth"):
        assert drawn[name].dtype == np.uint8
    for name in draws.FACTORS:
        assert drawn[name].shape == (COUNT,)
        assert drawn[name].dtype == np.float32
    assert drawn["image"].std() > 30


def test_the_same_in_every_run_and_chunk(drawn):
    parts = [scenes.render(0, range(i, i + 10), 32) for i in range(0, 30, 10)]
    joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    _equal({name: values[:30] for name, values in drawn.items()}, joined)
    _equal(scenes.render(0, [17], 32), {k: v[17:18] for k, v in drawn.items()})


def test_bytes_are_those_of_version_1():
    # Guards the data against an edit without a new version of the builder.
    drawn = scenes.render(0, range(20), 32)
    sums = [
        int(drawn[name].astype(np.int64).sum()) for name in ("image", "mask", "depth")
    ]
    assert sums == [7508844, 3974, 4380538]


def test_splits_differ():
    train, test = (scenes.render(split, range(10), 32) for split in (0, 1))
    assert not np.isclose(train["x"], test["x"]).any()
    np.testing.assert_array_equal(train["label"], test["label"])


def test_both_sizes_show_the_same_scenes(drawn):
    large = scenes.render(0, range(20), 64)
    for name in draws.FACTORS:
        np.testing.assert_array_equal(large[name], drawn[name][:20])
    pooled = large["image"].reshape(20, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(pooled - drawn["image"][:20]).mean() < 10
    assert np.abs(large["bbox"] - drawn["bbox"][:20]).mean() < 0.03


def test_labels_are_balanced(drawn):
    assert len(scenes.CLASSES) == 10
    np.testing.assert_array_equal(np.bincount(drawn["label"]), [COUNT // 10] * 10)


def test_every_object_is_seen(drawn):
    mask = drawn["mask"][..., 0]
    assert set(np.unique(mask)) == {0, 1, 2}
    seen = (mask == scenes.OBJECT).mean((1, 2))
    assert seen.min() > 0.02
    assert 0.1 < seen.mean() < 0.35
    assert (mask == scenes.OCCLUDER).mean() < 0.06


def test_box_is_the_extent_of_the_mask(drawn):
    for mask, bbox in zip(drawn["mask"][..., 0], drawn["bbox"], strict=True):
        rows, columns = np.nonzero(mask == scenes.OBJECT)
        expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_array_equal(bbox, np.float32(expected) / 32)


def test_boxes_of_nothing_and_everything():
    masks = np.zeros((2, 4, 8), np.uint8)
    masks[1] = scenes.OBJECT
    np.testing.assert_array_equal(scenes.boxes(masks), [[0, 0, 0, 0], [0, 0, 1, 1]])


def test_depth_is_ordered(drawn):
    mask, depth = drawn["mask"], drawn["depth"].astype(int)
    behind, body, front = (depth[mask == kind] for kind in (0, 1, 2))
    assert front.max() < body.min() <= body.max() < behind.min()
    assert behind.max() == 255


def test_depth_has_a_ground_plane(drawn):
    # Lower pixels of the background are nearer, never farther.
    for mask, depth in zip(drawn["mask"], drawn["depth"].astype(int), strict=True):
        open_ = (mask[:-1] == 0) & (mask[1:] == 0)
        assert ((depth[1:] - depth[:-1])[open_] <= 0).all()


def test_object_stands_out():
    # In even light, the mean over the object differs from the rest. Details, which
    # may have the backdrop's luminance, bring the means closer than the bodies are.
    even = {"brightness": 0.0, "shading": 0.0, "shadow": 0.0}
    calm = Strengths(noise=0.0, occluders=0, **even)
    drawn = scenes.render(0, range(200), 32, calm)
    grey, inside = colours.luminance(drawn["image"] / 255), drawn["mask"][..., 0] == 1
    gaps = [abs(g[m].mean() - g[~m].mean()) for g, m in zip(grey, inside, strict=True)]
    assert np.mean(gaps) > calm.contrast
    assert np.mean(np.asarray(gaps) > calm.contrast / 2) > 0.95


def test_factor_ranges(drawn):
    limit = Strengths()
    ranges = {
        "scale": (limit.scale_min, limit.scale_max),
        "rotation": (-limit.rotation, limit.rotation),
        "aspect": (1 - limit.aspect, 1 + limit.aspect),
        "light": (-1, 1),
        "brightness": (1 - limit.brightness, 1 + limit.brightness),
        "noise": (0, limit.noise),
        "occluders": (0, limit.occluders),
        "backdrop": (0, 5),
        "texture": (0, 4),
        "hue": (0, 1),
        "mirror": (0, 1),
    }
    for name, (low, high) in ranges.items():
        values = drawn[name]
        assert low - 1e-6 <= values.min() < values.max() <= high + 1e-6
        # Both ends are reached.
        assert values.max() - values.min() > 0.9 * (high - low)
    assert (np.abs(drawn["contrast"]) >= limit.contrast - 1e-6).all()


def test_factors_do_not_tell_the_class():
    # One-way analysis of variance: F is about 1 for every factor.
    d = draws.factors(draws.deal(0, range(2000), 1, Strengths())[0], Strengths())
    for name in draws.FACTORS:
        groups = d[name].reshape(-1, 10)
        between = groups.mean(0).var(ddof=1) * len(groups)
        assert between / groups.var(0, ddof=1).mean() < 3.5, name


def test_colour_follows_parts(drawn):
    # The crowns of trees are greener than the caps of mushrooms.
    share = {}
    for name in ("tree", "mushroom"):
        rows = np.flatnonzero(drawn["label"] == scenes.CLASSES.index(name))
        pixels = drawn["image"][rows][drawn["mask"][rows][..., 0] == 1].astype(int)
        share[name] = (pixels[:, 1] > pixels[:, 0]).mean()
    assert share["tree"] > share["mushroom"] + 0.2


def test_no_occluders_without_strength():
    drawn = scenes.render(0, range(20), 32, Strengths(occluders=0))
    assert drawn["mask"].max() == 1


def test_drawings_stay_within_their_numbers():
    # A drawing that used more numbers than dealt would raise; so would fewer draws.
    assert scenes.render(0, range(10), 8)["image"].shape == (10, 8, 8, 3)
    assert DRAWS < 100


def test_cos_sin_series():
    angle = np.linspace(-0.5, 0.5, 11)
    cos, sin = shapes.cos_sin(angle)
    np.testing.assert_allclose(cos, np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(sin, np.sin(angle), atol=1e-12)


def test_paint_has_the_asked_luminance():
    n = 50
    draws = np.random.default_rng(0).random((3, n))
    light = 0.05 + 0.9 * draws[2]
    rgb = colours.paint(draws[0] * 3 - 1, draws[1], light)
    assert rgb.min() >= 0
    assert rgb.max() <= 1 + 1e-9
    np.testing.assert_allclose(colours.luminance(rgb), light, atol=1e-9)


def test_distances():
    u, v = np.array([0.0, 0.5, 1.0, 2.0]), np.zeros(4)
    np.testing.assert_allclose(shapes.disc(u, v, 0, 0, 1), [-1, -0.5, 0, 1])
    np.testing.assert_allclose(shapes.box(u, v, 0, 0, 1, 2), [-1, -0.5, 0, 1])
    np.testing.assert_allclose(
        shapes.round_box(u, v, 0, 0, 1, 2, 0.5), [-1, -0.5, 0, 1]
    )
    np.testing.assert_allclose(shapes.capsule(u, v, (-1, 0), (0.5, 0), 0.5)[2:], [0, 1])
    np.testing.assert_allclose(shapes.ellipse(u, v, 0, 0, 1, 0.5)[2], 0, atol=1e-6)
    square = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    np.testing.assert_allclose(
        shapes.polygon(u, v, square), [-1, -0.5, 0, 1], atol=1e-6
    )


def test_builder(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "TRAIN", 250)
    monkeypatch.setattr(builder, "TEST", 20)
    tfds.disable_progress_bar()
    made = builder.EmbeddedScenes(config="32", data_dir=tmp_path)
    made.download_and_prepare()
    assert made.info.features["label"].names == list(scenes.CLASSES)
    assert made.info.splits["train"].num_examples == 250
    raw = made.as_dataset(split="test").batch(20).get_single_element()
    expected = scenes.render(1, range(20), 32)
    # TFDS shuffles by key: `x` tells the scenes apart.
    order = np.argsort(expected["x"])[np.argsort(np.argsort(raw["factors"]["x"]))]
    for name in ("image", "label", "bbox", "mask", "depth"):
        np.testing.assert_array_equal(raw[name], expected[name][order], err_msg=name)
    for name in draws.FACTORS:
        np.testing.assert_array_equal(raw["factors"][name], expected[name][order])
