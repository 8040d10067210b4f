"""The random steps: the statistics of what they draw, their limits and errors."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations import crop_steps, functional, steps
from keras_ssl.core import randomness

SEEDS = tf.stack([tf.range(4000), tf.fill([4000], 1)], axis=1)


def boxes(step, height, width):
    u = randomness.uniforms(SEEDS, 0, step.draws)
    fractions = step.boxes(height, width, u).numpy()
    pixels = fractions * np.array([height, width, height, width])
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-3)
    return np.round(pixels)


def images(n, size=4, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.uniform(size=(n, size, size, 3)), tf.float32)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (7, 5), (1, 1)])
def test_boxes_lie_in_the_image(height, width):
    top, left, bottom, right = boxes(crop_steps.RandomResizedCrop(8), height, width).T
    assert top.min() >= 0
    assert left.min() >= 0
    assert bottom.max() <= height
    assert right.max() <= width
    assert (bottom > top).all()
    assert (right > left).all()


def test_crop_statistics_are_those_of_torchvision():
    """A plain loop, as torchvision's `get_params` has it, gives the same moments."""
    rng = np.random.default_rng(0)

    def draw():
        for _ in range(10):
            area = 1024 * rng.uniform(0.08, 1)
            aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
            h, w = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
            if h <= 32 and w <= 32:
                return rng.integers(33 - h), rng.integers(33 - w), h, w
        return 0, 0, 32, 32

    want = np.array([draw() for _ in range(4000)], np.float64)
    top, left, bottom, right = boxes(crop_steps.RandomResizedCrop(32), 32, 32).T
    got = np.stack([top, left, bottom - top, right - left], axis=1)
    moments = [
        np.concatenate([x.mean(0), x.std(0), [(x[:, 2] * x[:, 3]).mean() / 32]])
        for x in (got, want)
    ]
    np.testing.assert_allclose(*moments, atol=0.6)


def test_crop_falls_back_to_the_largest_legal_centre():
    step = crop_steps.RandomResizedCrop(8, area=(0.9, 1.0))
    assert np.array_equal(np.unique(boxes(step, 10, 100), axis=0), [[0, 43, 10, 56]])
    assert np.array_equal(np.unique(boxes(step, 100, 10), axis=0), [[43, 0, 56, 10]])


def test_crop_takes_the_first_candidate_that_fits():
    step = crop_steps.RandomResizedCrop(8, area=(0.25, 1.0), aspect=(0.5, 2.0))
    u = np.zeros((1, step.draws), np.float32)
    # Area 1 with aspect 2 or 1/2 does not fit a square; area 1/4 does.
    u[0, :10] = [1, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    u[0, 10:20] = [1, 0, 0.5, 0.5, 0, 0, 0, 0, 0, 0]
    box = step.boxes(32, 32, tf.constant(u))[0].numpy() * 32
    assert np.array_equal(box, [0, 0, 16, 16])


def test_full_crop_is_the_image():
    step = crop_steps.RandomResizedCrop(6, (1.0, 1.0), (1.0, 1.0), flip=0.0)
    x = images(5, 6)
    u = randomness.uniforms(SEEDS[:5], 0, step.draws)
    np.testing.assert_allclose(step(x, u), x, atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda p: steps.ColorJitter(0.8, 0.8, 0.8, 0.2, p),
        lambda p: steps.Grayscale(p),
        lambda p: steps.GaussianBlur(3, (0.5, 2.0), p),
        lambda p: steps.Solarize(0.5, p),
        lambda p: crop_steps.RandomResizedCrop(4, (1.0, 1.0), (1.0, 1.0), flip=p),
    ],
)
def test_steps_act_as_often_as_they_say(make, probability):
    step, x = make(probability), images(4000)
    got = step(x, randomness.uniforms(SEEDS, 0, step.draws))
    changed = np.abs(got - x).max(axis=(1, 2, 3)) > 1e-5
    # Four standard deviations; 0 where the probability is 0 or 1.
    slack = 4 * np.sqrt(probability * (1 - probability) / 4000)
    assert abs(changed.mean() - probability) <= slack
    assert np.min(got) >= 0
    assert np.max(got) <= 1


def test_jitter_draws_cover_their_ranges(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        functional, "color_jitter", lambda images, **values: seen.update(values)
    )
    step = steps.ColorJitter(0.4, 1.5, 0.2, 0.1, probability=1.0)
    step(images(4000), randomness.uniforms(SEEDS, 0, step.draws))
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.0, 2.5),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
    ):
        values = seen[name].numpy()
        slack = 0.002 * (high - low)
        assert low - 1e-6 <= values.min() <= low + slack
        assert high - slack <= values.max() <= high + 1e-6
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)
    first = np.bincount(np.argmin(seen["order"], axis=1), minlength=4) / 4000
    np.testing.assert_allclose(first, 0.25, atol=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: crop_steps.RandomResizedCrop(0), "size in pixels, >= 1. Received: 0"),
        (lambda: crop_steps.RandomResizedCrop(8, area=(0.0, 1.0)), "area .*0 < least"),
        (lambda: crop_steps.RandomResizedCrop(8, area=(0.5, 1.1)), "area .*<= 1"),
        (
            lambda: crop_steps.RandomResizedCrop(8, aspect=(2.0, 1.0)),
            "aspect .*greatest",
        ),
        (lambda: crop_steps.RandomResizedCrop(8, flip=1.5), "flip in"),
        (lambda: crop_steps.RandomResizedCrop(8, method="area"), "method .*'area'"),
        (lambda: steps.ColorJitter(-1.0, 0, 0, 0), "brightness >= 0"),
        (lambda: steps.ColorJitter(0, 0, 0, 0.6), "hue in .*0.6"),
        (lambda: steps.ColorJitter(0, 0, 0, 0, -0.1), "probability in .*-0.1"),
        (lambda: steps.Grayscale(2.0), "probability in .*2.0"),
        (lambda: steps.GaussianBlur(0), "kernel_size in pixels, >= 1"),
        (lambda: steps.GaussianBlur(3, sigma=(0.0, 1.0)), "sigma .*0 < least"),
        (lambda: steps.Solarize(1.2), "threshold in .*1.2"),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_large_images_one_by_one_are_those_of_a_batch(monkeypatch):
    chosen = (
        steps.ColorJitter(0.8, 0.8, 0.8, 0.2),
        steps.Grayscale(),
        steps.GaussianBlur(5),
        steps.Solarize(0.5, 0.5),
    )
    x = images(40, 9)
    u = randomness.uniforms(SEEDS[:40], 0, sum(step.draws for step in chosen))
    together = steps.apply(chosen, x, u)
    monkeypatch.setattr(steps, "_LARGE", 1)
    compiled = tf.function(
        lambda x, u: steps.apply(chosen, x, u), jit_compile=True, autograph=False
    )
    np.testing.assert_allclose(compiled(x, u), together, atol=1e-5)
    alone = steps.apply(chosen, x[7:8], u[7:8])
    np.testing.assert_allclose(alone, together[7:8], atol=1e-5)


def test_a_chain_has_what_can_act():
    gray = steps.Grayscale(0.2)
    never = (steps.GaussianBlur(3, probability=0.0), steps.ColorJitter(0, 0, 0, 0))
    assert steps.chain(never[0], gray, never[1]) == (gray,)
    assert steps.chain(steps.ColorJitter(0, 0, 0, 0.1))
