"""ResNet: He et al. 2015, https://arxiv.org/abs/1512.03385."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.conv_norm import ConvNorm
from keras_ssl.layers.residual import DeepStem, ResidualBlock

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_VARIANTS = ("simclr", "torchvision")


class ResidualEncoder(Encoder):
    """A stem and stages of residual blocks.

    Args:
        blocks: Blocks of each stage.
        widths: Inner width of each stage.
        strides: Stride of each stage, taken by its first block.
        stem_width: Channels of the stem.
        bottleneck: Whether blocks are bottlenecks.
        stem: `imagenet` (7x7 of stride 2 and max-pool), `cifar` (3x3 of stride 1)
            or `strided` (3x3 of stride 2).
        zero_gamma: Whether residual branches start at 0.
        variant: Where the public ResNets differ. `simclr` projects the shortcut of
            every stage's first block and pools as TensorFlow's "same" does;
            `torchvision` projects where shapes differ and pads the pooling on both
            sides.
        sk_ratio: If positive, width of selective kernels' descriptions relative to
            that of their convolution; the stem and the shortcuts are then those of
            ResNet-D (SimCLRv2: 0.0625).
        norm: `batch`, `layer` (over the channels of each pixel) or `none`.
        **kwargs: For `Encoder`.

    Raises:
        ValueError: If `stem`, `variant` or `norm` is unknown, or `sk_ratio` is out of
            range, or given to basic blocks or with another norm than `batch`.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        strides: Sequence[int],
        stem_width: int,
        bottleneck: bool,
        stem: str,
        zero_gamma: bool = True,
        variant: str = "simclr",
        sk_ratio: float = 0.0,
        norm: str = "batch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        stems = {"imagenet": (7, 2), "cifar": (3, 1), "strided": (3, 2)}
        checks.one_of(stems, stem=stem)
        checks.one_of(_VARIANTS, variant=variant)
        self.stem_kind, self.variant, self.sk_ratio = stem, variant, sk_ratio
        self.norm = norm
        size, stem_stride = stems[stem]
        policy: dict[str, Any] = {"dtype": self.dtype_policy, "norm": norm}
        if sk_ratio and stem == "imagenet":
            self.stem = DeepStem(stem_width, name="stem", **policy)
        else:
            self.stem = ConvNorm(stem_width, size, stem_stride, name="stem", **policy)
        first_width = widths[0] * (4 if bottleneck else 1)
        project_first = (
            variant == "simclr" or strides[0] > 1 or stem_width != first_width
        )
        self.stages = [
            [
                ResidualBlock(
                    width,
                    strides=1 if i else stride,
                    bottleneck=bottleneck,
                    project=i == 0 and (stage > 0 or project_first),
                    zero_gamma=zero_gamma,
                    sk_ratio=sk_ratio,
                    name=f"stage{stage + 1}_block{i + 1}",
                    **policy,
                )
                for i in range(count)
            ]
            for stage, (count, width, stride) in enumerate(
                zip(blocks, widths, strides, strict=True)
            )
        ]
        self.feature_dim = self.stages[-1][-1].out_width

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Outputs of the stages, in order."""
        x = self.stem(self.normalize(images), training=training)
        if self.stem_kind == "imagenet":
            if self.variant == "torchvision":
                # Nothing is below 0 after a ReLU: zeros pad as -inf would.
                x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            else:
                x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        found = {}
        for i, stage in enumerate(self.stages):
            for block in stage:
                x = block(x, training=training)
            found[f"stage{i + 1}"] = x
        return found


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class ResNet(ResidualEncoder):
    """ResNet-18 to ResNet-200, of any width, for large or CIFAR-sized images.

    Args:
        depth: 18, 34, 50, 101, 152 or 200; from 50 on blocks are bottlenecks.
        width: Multiplier of every width; 1 is 64 channels in the first stage.
        stem: `imagenet`, `cifar` (3x3 of stride 1, no pooling) or `strided` (3x3 of
            stride 2, no pooling).
        variant: `simclr` (google-research/simclr), or `torchvision` for checkpoints
            of PyTorch.
        sk_ratio: Positive for selective kernels and ResNet-D stem and shortcuts, from
            depth 50 on; 0.0625 in SimCLRv2 (https://arxiv.org/abs/2006.10029).
        blocks: Blocks of the stages, in place of the depth's own; there may be fewer
            than four.
        norm: `batch`, `layer` (over the channels of each pixel) or `none`.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If `depth`, `stem`, `variant` or `norm` is unknown, there are more
            than four stages, or `sk_ratio` is out of range or needs more depth or the
            norm `batch`.
    """

    def __init__(
        self,
        depth: int = 18,
        width: float = 1.0,
        stem: str = "imagenet",
        variant: str = "simclr",
        sk_ratio: float = 0.0,
        blocks: Sequence[int] | None = None,
        norm: str = "batch",
        **kwargs: Any,
    ) -> None:
        checks.one_of(_BLOCKS, depth=depth)
        if blocks is not None and (not 1 <= len(blocks) <= 4 or min(blocks) < 1):
            raise ValueError(
                f"blocks needs one to four positive numbers, one a stage; got {blocks}."
            )
        self.depth, self.width = depth, width
        self.blocks = None if blocks is None else tuple(blocks)
        counts = self.blocks or _BLOCKS[depth]
        super().__init__(
            blocks=counts,
            widths=[round(width * 64 * 2**i) for i in range(len(counts))],
            strides=(1, 2, 2, 2)[: len(counts)],
            stem_width=round(width * 64),
            bottleneck=depth >= 50,
            stem=stem,
            variant=variant,
            sk_ratio=sk_ratio,
            norm=norm,
            **{"name": "resnet", **kwargs},
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "width": self.width,
            "stem": self.stem_kind,
            "variant": self.variant,
            "sk_ratio": self.sk_ratio,
            "blocks": self.blocks,
            "norm": self.norm,
        }


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class SmallResNet(ResidualEncoder):
    """A ResNet of a few hundred thousand weights, for a first result on a CPU.

    Every stage halves the maps, so that most of the work is done on small ones.

    Args:
        blocks: Blocks of each stage.
        widths: Width of each stage.
        stem_width: Channels of the stem.
        stem: `cifar` (3x3 of stride 1) or `strided` (3x3 of stride 2).
        norm: `batch`, `layer` (over the channels of each pixel) or `none`.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If `blocks` and `widths` differ in length or `stem` or `norm` is
            unknown.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 1, 1),
        widths: Sequence[int] = (32, 64, 128),
        stem_width: int = 16,
        stem: str = "cifar",
        norm: str = "batch",
        **kwargs: Any,
    ) -> None:
        if len(blocks) != len(widths):
            raise ValueError(
                "blocks and widths need an entry for each stage; received "
                f"blocks={tuple(blocks)}, widths={tuple(widths)}."
            )
        self.blocks, self.widths = tuple(blocks), tuple(widths)
        self.stem_width = stem_width
        super().__init__(
            blocks=blocks,
            widths=widths,
            strides=(2,) * len(blocks),
            stem_width=stem_width,
            bottleneck=False,
            stem=stem,
            # A short run has no time for branches to grow from 0.
            zero_gamma=False,
            norm=norm,
            **{"name": "small_resnet", **kwargs},
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "blocks": self.blocks,
            "widths": self.widths,
            "stem_width": self.stem_width,
            "stem": self.stem_kind,
            "norm": self.norm,
        }
