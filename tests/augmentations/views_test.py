import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations import crops, functional
from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.augmentations.steps import GaussianBlur, Grayscale
from keras_ssl.augmentations.views import Views

SEEDS = tf.constant([[3, 4], [-5, 6], [7, 2**31 - 1]])


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (1 + height // 4, 1 + width // 4, 3))
    fine = tf.image.resize(coarse, [height, width]).numpy()
    return np.clip(fine + rng.normal(0, 20, fine.shape), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Shrink:
    """A first step that is no crop."""

    size: int
    draws = 1

    def __call__(self, images, uniforms):
        made = tf.image.resize(images, [self.size, self.size])
        return made * uniforms[:, :, None, None]


@dataclasses.dataclass(frozen=True)
class Several(Views):
    """Views of differing sizes, kinds and lengths."""

    def recipes(self):
        large = (RandomResizedCrop(24), Grayscale(0.5), GaussianBlur(5))
        small = RandomResizedCrop(9, area=(0.05, 0.3), method="bilinear")
        soft = RandomResizedCrop(11, method="bicubic", antialias=True)
        return (large, large, (small,), (Shrink(7), Grayscale(0.5)), (small,), (soft,))


VIEWS = {
    "several": Several(),
    "simclr": SimCLRViews(16, strength=0.0),
    "jitter": SimCLRViews(16, blur=0.5, method="bilinear"),
}


def staged(views, image, seeds):
    """The views by way of parts, batched by hand."""
    numbers = views.draw(seeds)
    begun = []
    for row in range(len(seeds)):
        mine = tuple(part[row] for part in numbers)
        boxes = views.boxes(*image.shape[:2], mine)
        begun.append(views.begin(tf.constant(image), boxes, mine))
    return views.finish(tuple(map(tf.stack, zip(*begun, strict=True))), numbers)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(
    ("height", "width"), [(37, 53), (224, 150), (1, 1), (400, 1), (1, 33), (16, 16)]
)
def test_parts_give_the_views_of_the_whole(name, height, width):
    views, image = VIEWS[name], picture(height, width)
    want = views.render(np.stack([image] * len(SEEDS)), SEEDS)
    got = staged(views, image, SEEDS)
    assert len(got) == len(want) == views.num_views
    for one, other in zip(got, want, strict=True):
        # The bicubic kernel's positions are rounded: see `crops.resize`.
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-3)
        assert np.abs(one - other).mean() < 2e-4


def test_compiled_views_are_those_of_the_ops():
    images = np.stack([picture(20, 30, i) for i in range(3)])
    for one, other in zip(
        VIEWS["several"](images, SEEDS),
        VIEWS["several"].render(images, SEEDS),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_boxes_are_whole_pixels_within_the_image():
    views = VIEWS["several"]
    for height, width in [(1, 1), (5, 300), (64, 48), (999, 7)]:
        for row in range(3):
            numbers = tuple(part[row] for part in views.draw(SEEDS))
            top, left, bottom, right = views.boxes(height, width, numbers).numpy().T
            assert (top >= 0).all()
            assert (left >= 0).all()
            assert (top < bottom).all()
            assert (left < right).all()
            assert (bottom <= height).all()
            assert (right <= width).all()
            # What is no crop sees all.
            assert (bottom[3] - top[3], right[3] - left[3]) == (height, width)


def test_equal_recipes_get_numbers_of_their_own():
    numbers = VIEWS["several"].draw(SEEDS)
    assert not np.intersect1d(numbers[0], numbers[1]).size
    np.testing.assert_array_equal(
        VIEWS["several"].draw(SEEDS[1:2])[0][0], numbers[0][1]
    )


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(
    "box", [(0, 0, 60, 80), (7, 3, 8, 79), (59, 79, 60, 80), (10, 20, 50, 44)]
)
def test_resizing_a_part_is_crop_and_resize(method, antialias, flip, box):
    image = picture(60, 80)
    fractions = np.array(box) / [60, 80, 60, 80]
    floats = tf.cast(image, tf.float32) / 255
    want = functional.crop_and_resize(floats, fractions, 16, method, antialias, flip)
    cut = crops.part(tf.constant(image), tf.constant(box))
    np.testing.assert_array_equal(cut, image[box[0] : box[2], box[1] : box[3]])
    got = crops.resize(cut, 16, method, antialias, flip)
    rounds = method == "bicubic" and not antialias
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 if rounds else 1e-4)


def test_what_is_a_crop():
    assert isinstance(RandomResizedCrop(8), crops.Crop)
    assert not isinstance(Shrink(8), crops.Crop)
    assert not isinstance(Grayscale(), crops.Crop)
