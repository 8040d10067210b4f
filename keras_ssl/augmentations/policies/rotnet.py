"""RotNet's augmentations.

"Unsupervised Representation Learning by Predicting Image Rotations", ICLR 2018,
Gidaris et al. https://arxiv.org/abs/1803.07728
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import PaddedCrop, RandomCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class RotNetViews(Views):
    """One square crop and flip, without colours; the method turns it by quarters.

    The defaults are for ImageNet: 224 px out of images whose shorter side is 256 px.
    For CIFAR: `size=32, pad=4`. Views stay in [0, 1]: mean and standard
    deviation belong to the encoder.

    Args:
        size: Height and width of a view, pixels.
        count: How many views an image gets, >= 1.
        part: Side of the crop, a fraction of the image's shorter side in (0, 1].
        pad: Width of a black margin, pixels, out of which a crop of the whole shorter
            side is cut; None for the crop of `part` without margin.
        flip: Probability of mirroring left and right.
        method: Of resizing, "bilinear" (torchvision's default) or "bicubic".
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range.
    """

    size: int = 224
    count: int = 1
    part: float = 224 / 256
    pad: int | None = None
    flip: float = 0.5
    method: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        _shared.check_count(self.count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        how = (self.flip, self.method, self.antialias)
        crop: Step = RandomCrop(self.size, self.part, *how)
        if self.pad is not None:
            crop = PaddedCrop(self.size, self.pad, *how)
        return ((crop,),) * self.count
