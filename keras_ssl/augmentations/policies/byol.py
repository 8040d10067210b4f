"""BYOL's augmentations.

"Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", NeurIPS 2020,
Grill et al. https://arxiv.org/abs/2006.07733
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import GaussianBlur, Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class BYOLViews(Views):
    """Two views that differ in how often they are blurred and solarized (BYOL, app. B).

    The defaults are the paper's table 6; Barlow Twins, VICReg and MoCo v3 use them too
    (MoCo v3 with `area=(0.2, 1.0)` for ResNets). Brightness is multiplicative, as in
    their PyTorch code; BYOL's JAX code adds. Views stay in [0, 1]: mean and standard
    deviation belong to the encoder.

    For CIFAR (solo-learn's asymmetric setting): `size=32, blur=0.0`; VICReg there:
    `size=32, area=(0.2, 1.0), blur=0.0, solarize=0.1`.

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
        blur: Probability of a Gaussian blur of `size // 10` taps (made odd: 23 at 224
            px), 0.1 to 2 pixels wide: one for all views or one a view.
        solarize: Probability of inverting values from 0.5 on: one for all views or one
            a view. Of a list the last number goes on.
        method: Of resizing, "bicubic" as in the paper or "bilinear".
        antialias: Whether shrinking averages. BYOL's code doesn't.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
    count: int = 2
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)
    jitter_probability: float = 0.8
    grayscale: float = 0.2
    blur: _shared.PerView = (1.0, 0.1)
    solarize: _shared.PerView = (0.0, 0.2)
    method: str = "bicubic"
    antialias: bool = False

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        taps = max(self.size // 10, 1)
        return tuple(
            (
                crop,
                *_shared.color_steps(
                    self.jitter,
                    self.jitter_probability,
                    self.grayscale,
                    GaussianBlur(taps, probability=blur),
                    solarize,
                ),
            )
            for blur, solarize in zip(
                _shared.per_view("blur", self.blur, self.count),
                _shared.per_view("solarize", self.solarize, self.count),
                strict=True,
            )
        )
