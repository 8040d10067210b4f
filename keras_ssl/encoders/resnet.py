"""ResNet: He et al. 2015, https://arxiv.org/abs/1512.03385."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.residual import ConvNorm, ResidualBlock

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


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
        **kwargs: For `Encoder`.

    Raises:
        ValueError: If `stem` is unknown.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        stems = {"imagenet": (7, 2), "cifar": (3, 1), "strided": (3, 2)}
        if stem not in stems:
            raise ValueError(f"stem must be one of {', '.join(stems)}; got {stem!r}.")
        size, stem_stride = stems[stem]
        self.stem_kind = stem
        self.stem = ConvNorm(
            stem_width, size, stem_stride, name="stem", dtype=self.dtype_policy
        )
        self.stages = [
            [
                ResidualBlock(
                    width,
                    strides=1 if i else stride,
                    bottleneck=bottleneck,
                    # As google-research/simclr; torchvision's basic blocks keep the
                    # identity in stage 1.
                    project=i == 0,
                    zero_gamma=zero_gamma,
                    name=f"stage{stage + 1}_block{i + 1}",
                    dtype=self.dtype_policy,
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
        depth: 18, 34, 50, 101, 152 or 200.
        width: Multiplier of every width.
        stem: `imagenet`, or `cifar` (3x3 of stride 1, no pooling).
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If `depth` or `stem` is unknown.
    """

    def __init__(
        self, depth: int = 18, width: float = 1.0, stem: str = "imagenet", **kwargs: Any
    ) -> None:
        if depth not in _BLOCKS:
            raise ValueError(
                f"ResNet depth must be one of {', '.join(map(str, _BLOCKS))}; "
                f"got {depth}."
            )
        self.depth, self.width = depth, width
        super().__init__(
            blocks=_BLOCKS[depth],
            widths=[round(width * 64 * 2**i) for i in range(4)],
            strides=(1, 2, 2, 2),
            stem_width=round(width * 64),
            bottleneck=depth >= 50,
            stem=stem,
            **{"name": "resnet", **kwargs},
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "width": self.width,
            "stem": self.stem_kind,
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
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If `blocks` and `widths` differ in length or `stem` is unknown.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 1, 1),
        widths: Sequence[int] = (32, 64, 128),
        stem_width: int = 16,
        stem: str = "cifar",
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
            **{"name": "small_resnet", **kwargs},
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "blocks": self.blocks,
            "widths": self.widths,
            "stem_width": self.stem_width,
            "stem": self.stem_kind,
        }
