"""ReSSL's augmentations.

"ReSSL: Relational Self-Supervised Learning with Weak Augmentation", NeurIPS 2021, Zheng
et al. https://arxiv.org/abs/2107.09282
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import GaussianBlur, Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class ReSSLViews(Views):
    """A strong view, MoCo v2's, and a weak one of crop and flip (ReSSL, section 3.3).

    For CIFAR: `size=32, blur=0.0`. Views stay in [0, 1]: mean and standard deviation
    belong to the encoder.

    Args:
        size: Height and width of a view, pixels.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        jitter: Strengths of brightness, contrast, saturation (each >= 0) and hue (in
            turns, in [0, 0.5]) of the strong view.
        jitter_probability: Of its colour jitter.
        grayscale: Probability of grayscale in it.
        blur: Probability of a Gaussian blur in it, 0.1 to 2 pixels wide.
        method: Of resizing, "bilinear" (torchvision's default) or "bicubic".
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
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
        return ((crop, *colors), (crop,))
