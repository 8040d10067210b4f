"""The papers' policies: their numbers, shapes, and what they share."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augmentations import crop_steps, steps
from keras_ssl.augmentations.policies.byol import BYOLViews
from keras_ssl.augmentations.policies.mae import MAEViews
from keras_ssl.augmentations.policies.moco import MoCoV1Views, MoCoV2Views
from keras_ssl.augmentations.policies.multi_crop import MultiCropViews
from keras_ssl.augmentations.policies.ressl import ReSSLViews
from keras_ssl.augmentations.policies.rotnet import RotNetViews
from keras_ssl.augmentations.policies.simclr import SimCLRViews
from keras_ssl.core import registry

CROP, JITTER, GRAY, BLUR, SOLARIZE, SQUARE, PADDED = (
    crop_steps.RandomResizedCrop,
    steps.ColorJitter,
    steps.Grayscale,
    steps.GaussianBlur,
    steps.Solarize,
    crop_steps.RandomCrop,
    crop_steps.PaddedCrop,
)
POLICIES = (
    BYOLViews,
    MAEViews,
    MoCoV1Views,
    MoCoV2Views,
    MultiCropViews,
    ReSSLViews,
    RotNetViews,
)
DINO = MultiCropViews(
    counts=(2, 8),
    areas=((0.4, 1.0), (0.05, 0.4)),
    jitter=(0.4, 0.4, 0.2, 0.1),
    blur=(1.0, 0.1, 0.5),
    solarize=(0.0, 0.2, 0.0),
    method="bicubic",
)
RATIO = (3 / 4, 4 / 3)


def kinds(recipe):
    return [type(step) for step in recipe]


@pytest.mark.parametrize("policy", POLICIES)
def test_is_registered(policy):
    assert registry.get("views", policy.__name__) is policy


def test_byol_has_the_papers_numbers():
    first, second = BYOLViews().recipes()
    crop, jitter, gray = (
        CROP(224, (0.08, 1.0), RATIO),
        JITTER(0.4, 0.4, 0.2, 0.1),
        GRAY(),
    )
    assert first == (crop, jitter, gray, BLUR(22, (0.1, 2.0), 1.0))
    assert second == (
        *(crop, jitter, gray),
        BLUR(22, (0.1, 2.0), 0.1),
        SOLARIZE(0.5, 0.2),
    )


def test_cifar_settings_are_reachable():
    asymmetric = BYOLViews(size=32, blur=0.0).recipes()
    assert [kinds(r) for r in asymmetric] == [
        [CROP, JITTER, GRAY],
        [CROP, JITTER, GRAY, SOLARIZE],
    ]
    symmetric = SimCLRViews(strength=1.0, blur=0.5).recipes()
    assert symmetric[0] == symmetric[1]
    np.testing.assert_allclose(
        dataclasses.astuple(symmetric[0][1]), (0.8, 0.8, 0.8, 0.2, 0.8)
    )
    weak = MoCoV2Views(size=32, area=(0.08, 1.0)).recipes()[0]
    assert weak[0].area == (0.08, 1.0)
    assert weak[1] == JITTER(0.4, 0.4, 0.4, 0.1, 0.8)
    vicreg = BYOLViews(size=32, area=(0.2, 1.0), blur=0.0, solarize=0.1).recipes()
    assert vicreg[0] == vicreg[1]
    assert vicreg[0][-1] == SOLARIZE(0.5, 0.1)


def test_moco_v1_is_gray_before_it_is_jittered():
    one, two = MoCoV1Views().recipes()
    assert one == two
    assert kinds(one) == [CROP, GRAY, JITTER]
    assert one[0].area == (0.2, 1.0)
    assert one[2] == JITTER(0.4, 0.4, 0.4, 0.4, 1.0)


def test_moco_v2_has_the_papers_numbers():
    one, two = MoCoV2Views().recipes()
    assert one == two
    assert one[0].area == (0.2, 1.0)
    assert one[1:] == (
        JITTER(0.4, 0.4, 0.4, 0.1, 0.8),
        GRAY(0.2),
        BLUR(13, (0.1, 2.0), 0.5, "edge"),
    )


def test_swav_and_dino_have_the_papers_numbers():
    swav = MultiCropViews().recipes()
    assert [r[0].size for r in swav] == [224] * 2 + [96] * 6
    assert [r[0].area for r in swav] == [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6
    assert len(set(swav)) == 2
    assert swav[0][1] == JITTER(0.8, 0.8, 0.8, 0.2, 0.8)
    dino = DINO.recipes()
    assert [r[0].size for r in dino] == [224] * 2 + [96] * 8
    assert [r[3].probability for r in dino] == [1.0, 0.1] + [0.5] * 8
    assert [kinds(r)[4:] for r in dino] == [[], [SOLARIZE]] + [[]] * 8
    assert len(set(dino)) == 3
    assert DINO.num_views == 10


def test_ressl_has_a_strong_and_a_weak_view():
    strong, weak = ReSSLViews().recipes()
    assert strong == MoCoV2Views().recipes()[0]
    assert weak == strong[:1]


def test_plain_policies_have_one_step():
    assert MAEViews().recipes() == (
        (CROP(224, (0.2, 1.0), RATIO, 0.5, "bicubic", True),),
    )
    assert RotNetViews().recipes() == ((SQUARE(224, 0.875, 0.5),),)
    assert RotNetViews(size=32, pad=4).recipes() == ((PADDED(32, 4, 0.5),),)


@pytest.mark.parametrize(
    "views",
    [
        BYOLViews(size=12),
        MultiCropViews(sizes=(12, 6), counts=(1, 2), solarize=(0.0, 0.0, 1.0)),
        RotNetViews(size=12),
        RotNetViews(size=12, pad=2),
    ],
    ids=lambda views: type(views).__name__,
)
def test_views_are_in_range_and_stateless(views):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 12, 12, 3), np.uint8)
    seeds = np.stack([np.arange(4), np.full(4, 7)], axis=1).astype(np.int32)
    got = views(images, seeds)
    order = np.array([2, 0, 3, 1])
    again = views(images[order], seeds[order])
    sizes = [recipe[0].size for recipe in views.recipes()]
    for view, permuted, size in zip(got, again, sizes, strict=True):
        assert view.shape == (4, size, size, 3)
        assert np.min(view) >= 0
        assert np.max(view) <= 1
        np.testing.assert_allclose(permuted, view.numpy()[order], atol=1e-5)


def test_padded_crop_shifts_by_whole_pixels():
    n, pad = 300, 4
    rng = np.random.default_rng(0)
    image = rng.uniform(0.1, 1.0, (8, 8, 3)).astype(np.float32)
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    uniforms = rng.uniform(size=(n, 3)).astype(np.float32)
    got = PADDED(8, pad)(tf.repeat(image[None], n, axis=0), tf.constant(uniforms))
    for one, (down, right, flip) in zip(got.numpy(), uniforms, strict=True):
        top, left = int(down * 9), int(right * 9)
        want = padded[top : top + 8, left : left + 8]
        np.testing.assert_allclose(
            one, want[:, ::-1] if flip < 0.5 else want, atol=1e-5
        )


@pytest.mark.parametrize(("height", "width"), [(256, 341), (500, 375), (3, 2)])
def test_square_crops_lie_in_the_image(height, width):
    uniforms = np.random.default_rng(0).uniform(size=(5000, 3)).astype(np.float32)
    boxes = SQUARE(224).boxes(height, width, tf.constant(uniforms)).numpy()
    pixels = boxes * [height, width, height, width]
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-2)
    side = max(round(0.875 * min(height, width)), 1)
    np.testing.assert_allclose(pixels[:, 2:] - pixels[:, :2], side, atol=1e-2)
    assert pixels.min() > -1e-3
    assert (pixels.max(axis=0) <= [height + 1e-3, width + 1e-3] * 2).all()
    assert len(np.unique(np.round(pixels[:, 0]))) == height - side + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BYOLViews(count=0), "count of views >= 1"),
        (
            lambda: BYOLViews(blur=(1.0, 0.1, 0.5)),
            "blur to be one number .* each of the 2",
        ),
        (lambda: BYOLViews(solarize=()), "solarize to be one number"),
        (lambda: BYOLViews(blur=1.5), r"probability in \[0, 1\]"),
        (lambda: BYOLViews(jitter=(0.4, 0.4, 0.2)), "strengths of .brightness"),
        (lambda: MoCoV1Views(jitter=0.4), "strengths of .brightness"),
        (lambda: MoCoV2Views(area=(0.0, 1.0)), "area to be"),
        (lambda: MultiCropViews(counts=(2,)), "an entry for each group"),
        (lambda: MultiCropViews(sizes=224), "an entry for each group"),
        (lambda: MultiCropViews(counts=(2, 0)), "count of views >= 1"),
        (lambda: MAEViews(size=0), "size in pixels"),
        (lambda: RotNetViews(part=1.2), "part of the shorter side"),
        (lambda: RotNetViews(pad=-1), "pad in pixels, >= 0"),
        (lambda: BLUR(3, border="mirror"), "border .*'mirror'"),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
