"""MAE's augmentations.

"Masked Autoencoders Are Scalable Vision Learners", CVPR 2022, He et al.
https://arxiv.org/abs/2111.06377
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class MAEViews(Views):
    """One view of crop and flip, and nothing else (MAE, table 8).

    Masked methods need no more. SimMIM takes `area=(0.67, 1.0)`. Views stay in [0, 1]:
    mean and standard deviation belong to the encoder.

    Args:
        size: Height and width of a view, pixels.
        count: How many views an image gets, >= 1.
        area: Least and greatest area of a crop, fractions of the image in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        method: Of resizing, "bicubic" as in MAE's code or "bilinear".
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
    count: int = 1
    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    method: str = "bicubic"
    antialias: bool = True

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        crop = RandomResizedCrop(
            self.size, self.area, self.aspect, self.flip, self.method, self.antialias
        )
        return ((crop,),) * self.count
