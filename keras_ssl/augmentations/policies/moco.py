"""MoCo's augmentations, of its first and second version.

"Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, He et
al. https://arxiv.org/abs/1911.05722 and "Improved Baselines with Momentum Contrastive
Learning", 2020, Chen et al. https://arxiv.org/abs/2003.04297
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
    Step,
    chain,
)
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class MoCoV1Views(Views):
    """Equal views of crop, grayscale, colour jitter and flip (MoCo, section 3.3).

    Gray comes before the jitter, as in the code (facebookresearch/moco
    `main_moco.py`). InstDisc takes one such view: `count=1`; on CIFAR also
    `size=32, flip=0.0`. Views stay in [0, 1]: mean and standard deviation belong to
    the encoder.

    Args:
        size: Height and width of a view, pixels.
        count: How many views an image gets, >= 1.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        grayscale: Probability of grayscale.
        jitter: Strengths of brightness, contrast, saturation (each >= 0) and hue (in
            turns, in [0, 0.5]).
        jitter_probability: Of the colour jitter.
        method: Of resizing, "bilinear" (torchvision's default) or "bicubic".
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
    count: int = 2
    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    grayscale: float = 0.2
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.4)
    jitter_probability: float = 1.0
    method: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        jitter = _shared.check_jitter(self.jitter)
        colors = chain(
            Grayscale(self.grayscale), ColorJitter(*jitter, self.jitter_probability)
        )
        return ((crop, *colors),) * self.count


@register("views")
@dataclasses.dataclass(frozen=True)
class MoCoV2Views(Views):
    """Equal views of crop, flip, colour jitter, grayscale and blur (MoCo v2).

    SimSiam and DenseCL use them too. For CIFAR: `size=32, area=(0.08, 1.0)`, with
    `blur=0.0` as in MoCo's CIFAR notebook or 0.5 as in solo-learn's weak setting. Views
    stay in [0, 1]: mean and standard deviation belong to the encoder.

    Args:
        size: Height and width of a view, pixels.
        count: How many views an image gets, >= 1.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        jitter: Strengths of brightness, contrast, saturation (each >= 0) and hue (in
            turns, in [0, 0.5]).
        jitter_probability: Of the colour jitter.
        grayscale: Probability of grayscale.
        blur: Probability of a Gaussian blur, 0.1 to 2 pixels wide.
        method: Of resizing, "bilinear" (torchvision's default) or "bicubic".
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
    count: int = 2
    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    grayscale: float = 0.2
    blur: float = 0.5
    method: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        colors = _shared.color_steps(
            self.jitter,
            self.jitter_probability,
            self.grayscale,
            GaussianBlur(_shared.PILLOW_TAPS, probability=self.blur, border="edge"),
        )
        return ((crop, *colors),) * self.count
