"""SimCLR's augmentations.

"A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
Chen et al. https://arxiv.org/abs/2002.05709
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import GaussianBlur, Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class SimCLRViews(Views):
    """Equal views of crop, flip, colour jitter, grayscale and blur (SimCLR, app. A).

    Brightness is multiplicative, as in SimCLR v2's code (v1's adds). The defaults are
    the CIFAR setting: strength 0.5, no blur. ImageNet's is `size=224, strength=1.0,
    blur=0.5`; solo-learn's symmetric one for CIFAR is `strength=1.0, blur=0.5`. Views
    stay in [0, 1], without mean and standard deviation.

    Args:
        size: Height and width of a view, pixels.
        count: How many views an image gets, >= 1.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        strength: Of the colour jitter, in [0, 2.5]: brightness, contrast and saturation
            vary by 0.8 of it, the hue by 0.2 of it, in turns.
        jitter: Probability of the colour jitter.
        grayscale: Probability of grayscale.
        blur: Probability of a Gaussian blur of `size // 10` taps (made odd), 0.1 to 2
            pixels wide.
        method: Of resizing, "bicubic" as in SimCLR's code or "bilinear".
        antialias: Whether shrinking averages. SimCLR's code doesn't.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 32
    count: int = 2
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    strength: float = 0.5
    jitter: float = 0.8
    grayscale: float = 0.2
    blur: float = 0.0
    method: str = "bicubic"
    antialias: bool = False

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        if not 0 <= self.strength <= 2.5:
            raise ValueError(
                "Expected strength in [0, 2.5]; 1 is the paper's for ImageNet, 0.5 for "
                f"CIFAR. Received: {self.strength}"
            )
        for name in ("jitter", "grayscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"Expected {name} to be a probability in [0, 1]. "
                    f"Received: {getattr(self, name)}"
                )
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        s = self.strength
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        colors = _shared.color_steps(
            (0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s),
            self.jitter,
            self.grayscale,
            GaussianBlur(max(self.size // 10, 1), probability=self.blur),
        )
        return ((crop, *colors),) * self.count
