"""SimCLR's views: stateless per example, in range, and neutral where told to be."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations import crop_steps, steps, views
from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.core import randomness, registry

# One small instance for most tests: equal recipes share their compiled programs.
SMALL = SimCLRViews(size=12, blur=0.5)
PLAIN = SimCLRViews(
    size=9, area=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0, strength=0.0, grayscale=0.0
)


def images(n=8, height=10, width=14):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, height, width, 3), np.uint8)


def seeds(n=8, second=5):
    return np.stack([np.arange(n), np.full(n, second)], axis=1).astype(np.int32)


def test_is_registered():
    assert registry.get("views", "SimCLRViews") is SimCLRViews


def test_shapes_types_and_range():
    got = SMALL(images(), seeds())
    assert SMALL.num_views == len(got) == 2
    for view in got:
        assert view.shape == (8, 12, 12, 3)
        assert view.dtype == tf.float32
        assert np.min(view) >= 0
        assert np.max(view) <= 1


def test_an_example_is_the_same_in_any_batch():
    together = SMALL(images(), seeds())
    order = np.random.default_rng(2).permutation(8)
    permuted = SMALL(images()[order], seeds()[order])
    alone = [SMALL(images()[i : i + 1], seeds()[i : i + 1]) for i in range(8)]
    for v in range(2):
        np.testing.assert_allclose(permuted[v], together[v].numpy()[order], atol=1e-5)
        want = np.concatenate([one[v] for one in alone])
        np.testing.assert_allclose(want, together[v], atol=1e-5)


def test_the_seed_decides():
    first, again = SMALL(images(), seeds()), SMALL(images(), seeds())
    other = SMALL(images(), seeds(second=6))
    same = np.repeat(images(1), 8, axis=0)
    neighbours = SMALL(same, seeds())[0].numpy()
    for v in range(2):
        assert np.array_equal(first[v], again[v])
        assert (np.abs(first[v] - other[v]).max(axis=(1, 2, 3)) > 1e-3).all()
    assert (np.abs(first[0] - first[1]).max(axis=(1, 2, 3)) > 1e-3).all()
    assert (np.abs(np.diff(neighbours, axis=0)).max(axis=(1, 2, 3)) > 1e-3).all()


def test_sizes_unknown_beforehand_give_the_same_without_xla():
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3), tf.uint8),
            tf.TensorSpec((None, 2), tf.int32),
        ]
    )
    def render(x, s):
        got = SMALL(x, s)
        assert all(view.shape.as_list() == [None, 12, 12, 3] for view in got)
        return got

    want = SMALL(images(), seeds())
    for one, other in zip(render(images(), seeds()), want, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_runs_in_a_dataset_with_a_smaller_last_batch():
    data = tf.data.Dataset.from_tensor_slices((images(9), seeds(9)))
    data = data.batch(8).map(SMALL, num_parallel_calls=2)
    assert data.element_spec[0].shape.as_list() == [None, 12, 12, 3]
    first = np.concatenate([batch[0] for batch in data])
    np.testing.assert_allclose(first[:8], SMALL(images(9)[:8], seeds(8))[0], atol=1e-5)
    assert first.shape == (9, 12, 12, 3)


def test_without_changes_the_view_is_the_image():
    x = images(3, 9, 9)
    for view in PLAIN(x, seeds(3)):
        np.testing.assert_allclose(view, x / 255.0, atol=1e-6)
    halves = tf.constant(x / 255.0, tf.float16)
    np.testing.assert_allclose(PLAIN(halves, seeds(3))[0], x / 255.0, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 13), (17, 3)])
def test_odd_sizes(height, width):
    # One view and no XLA: a compilation for each size would take seconds.
    x = tf.cast(images(2, height, width), tf.float32) / 255.0
    for step in SMALL.recipes()[0]:
        x = step(x, randomness.uniforms(seeds(2), 0, step.draws))
    assert x.shape == (2, 12, 12, 3)
    assert np.isfinite(x).all()
    assert np.max(x) <= 1


def test_equal_recipes_compile_once():
    before = views._compiled.cache_info().currsize
    SMALL(images(), seeds())
    dataclasses.replace(SMALL, count=1)(images(), seeds())
    assert views._compiled.cache_info().currsize == max(before, 1)
    program = views._compiled(views._render, SMALL.recipes()[0])
    traces = program.experimental_get_tracing_count()
    SMALL(images(), seeds(second=9))
    assert program.experimental_get_tracing_count() == traces


def test_recipe_has_the_papers_order_and_numbers():
    crop, jitter, gray, blur = SimCLRViews(size=224, strength=1.0, blur=0.4).recipes()[
        0
    ]
    assert crop == crop_steps.RandomResizedCrop(224, (0.08, 1.0), (3 / 4, 4 / 3), 0.5)
    assert jitter == steps.ColorJitter(0.8, 0.8, 0.8, 0.2, 0.8)
    assert gray == steps.Grayscale(0.2)
    assert blur == steps.GaussianBlur(22, (0.1, 2.0), 0.4)
    cifar = SimCLRViews().recipes()
    assert cifar[0] == cifar[1]
    assert [type(step) for step in cifar[0]] == [
        crop_steps.RandomResizedCrop,
        steps.ColorJitter,
        steps.Grayscale,
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count of views >= 1. Received: 0"),
        ({"size": 32.0}, "size in pixels"),
        ({"strength": -0.1}, "strength in .*-0.1"),
        ({"strength": 3.0}, "strength in .*3.0"),
        ({"jitter": 1.1}, "jitter to be a probability"),
        ({"grayscale": -1.0}, "grayscale to be a probability"),
        ({"blur": 2.0}, "blur to be a probability"),
        ({"area": (0.0, 1.0)}, "area to be"),
        ({"aspect": (4 / 3, 3 / 4)}, "aspect to be"),
        ({"flip": 7}, "flip in"),
        ({"method": "nearest"}, "method to be one of"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        SimCLRViews(**arguments)


@pytest.mark.parametrize(
    ("x", "s", "message"),
    [
        (images()[0], seeds(), r"batch of images \(n, h, w, 3\)"),
        (images()[..., :1], seeds(), r"batch of images \(n, h, w, 3\)"),
        (images().astype(np.int32), seeds(), "uint8, or as floats"),
        (images(), seeds()[:, 0], r"seeds \(n, 2\) int32"),
        (images(), seeds().astype(np.int64), r"seeds \(n, 2\) int32"),
    ],
)
def test_inputs_are_checked(x, s, message):
    with pytest.raises(ValueError, match=message):
        SMALL(x, s)
