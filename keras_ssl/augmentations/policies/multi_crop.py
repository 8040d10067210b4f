"""Multi-crop: few global and many small local views, of SwAV and of DINO.

"Unsupervised Learning of Visual Features by Contrasting Cluster Assignments", NeurIPS
2020, Caron et al. https://arxiv.org/abs/2006.09882 and "Emerging Properties in
Self-Supervised Vision Transformers", ICCV 2021, Caron et al.
https://arxiv.org/abs/2104.14294
"""

import dataclasses

from keras_ssl.augmentations.crop_steps import RandomResizedCrop
from keras_ssl.augmentations.policies import _shared
from keras_ssl.augmentations.steps import GaussianBlur, Step
from keras_ssl.augmentations.views import Views
from keras_ssl.core.registry import register


@register("views")
@dataclasses.dataclass(frozen=True)
class MultiCropViews(Views):
    """Groups of views, each of its own size and crop area (SwAV, section 3.3).

    The defaults are SwAV's: 2 views of 224 px and 6 of 96 px. DINO's are

        sizes=(224, 96), counts=(2, 8), areas=((0.4, 1.0), (0.05, 0.4)),
        jitter=(0.4, 0.4, 0.2, 0.1), blur=(1.0, 0.1, 0.5), solarize=(0.0, 0.2, 0.0),
        method="bicubic"

    (facebookresearch/dino `main_dino.py`: the first global view is always blurred, the
    second one solarized at times, the local ones blurred half the time). iBOT and
    DINOv2 change counts and areas only. For CIFAR: `sizes=(32, 20), counts=(2, 4),
    areas=((0.2, 1.0), (0.05, 0.3)), blur=0.0`. Views come group by group, and stay in
    [0, 1]: mean and standard deviation belong to the encoder. Equal views share one
    compiled program: SwAV has two of them, DINO three.

    Args:
        sizes: Height and width of the views of each group, pixels.
        counts: How many views each group has, >= 1.
        areas: For each group, least and greatest area of a crop, fractions of the image
            in (0, 1].
        aspect: Least and greatest width / height of a crop, log-uniform.
        flip: Probability of mirroring left and right.
        jitter: Strengths of brightness, contrast, saturation (each >= 0) and hue (in
            turns, in [0, 0.5]).
        jitter_probability: Of the colour jitter.
        grayscale: Probability of grayscale.
        blur: Probability of a Gaussian blur, 0.1 to 2 pixels wide: one for all views or
            one a view, over all groups.
        solarize: Probability of inverting values from 0.5 on: one for all views or one
            a view. Of a list the last number goes on.
        method: Of resizing, "bilinear" as in SwAV or "bicubic" as in DINO.
        antialias: Whether shrinking averages, as Pillow does.

    Raises:
        ValueError: If a number is out of its range, or groups differ in number.
    """

    sizes: tuple[int, ...] = (224, 96)
    counts: tuple[int, ...] = (2, 6)
    areas: tuple[tuple[float, float], ...] = ((0.14, 1.0), (0.05, 0.14))
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_probability: float = 0.8
    grayscale: float = 0.2
    blur: _shared.PerView = 0.5
    solarize: _shared.PerView = 0.0
    method: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        groups = (self.sizes, self.counts, self.areas)
        if not (
            all(isinstance(group, (tuple, list)) for group in groups)
            and len(self.sizes) == len(self.counts) == len(self.areas) > 0
        ):
            raise ValueError(
                "Expected sizes, counts and areas to be lists with an entry for each "
                f"group of views. Received: {self.sizes!r}, {self.counts!r} and "
                f"{self.areas!r}"
            )
        for count in self.counts:
            _shared.check_count(count)
        self.recipes()

    def recipes(self) -> tuple[tuple[Step, ...], ...]:
        crops = [
            RandomResizedCrop(
                size, area, self.aspect, self.flip, self.method, self.antialias
            )
            for size, count, area in zip(
                self.sizes, self.counts, self.areas, strict=True
            )
            for _ in range(count)
        ]
        return tuple(
            (
                crop,
                *_shared.color_steps(
                    self.jitter,
                    self.jitter_probability,
                    self.grayscale,
                    GaussianBlur(_shared.PILLOW_TAPS, probability=blur, border="edge"),
                    solarize,
                ),
            )
            for crop, blur, solarize in zip(
                crops,
                _shared.per_view("blur", self.blur, len(crops)),
                _shared.per_view("solarize", self.solarize, len(crops)),
                strict=True,
            )
        )
