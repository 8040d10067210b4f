"""Swin: Liu et al. 2021, https://arxiv.org/abs/2103.14030."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.encoders.tokens import NO_POSITIONS, patch_grid, with_hidden
from keras_ssl.layers.layer_norm import LayerNorm
from keras_ssl.layers.patch_merging import PatchMerging
from keras_ssl.layers.patch_stem import PatchProjection
from keras_ssl.layers.swin_block import SwinBlock

_OPTIONS = (
    *("patch_size", "width", "depths", "heads", "window", "mlp_ratio", "positions"),
    *("image_size", "qkv_bias", "patch_norm", "drop_path", "init", "epsilon"),
)


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class Swin(Encoder):
    """Transformer in windows that shift, coarser and wider from stage to stage.

    Source: the authors' microsoft/Swin-Transformer models/swin_transformer.py. Sizes,
    as `(width, depths, heads)`: tiny `(96, (2, 2, 6, 2), (3, 6, 12, 24))`, small the
    same with depths `(2, 2, 18, 2)`, base small's with width 128 and heads
    `(4, 8, 16, 32)`. There is no class token: features are the mean of the last map.

    Images may have any size whose windows fill each stage's tokens: with patches of 4
    and windows of 7 multiples of 224 px; 192 px need windows of 6.

    Args:
        patch_size: Side of a patch in pixels.
        width: Channels of the first stage; each one has twice those of the one before.
        depths: Number of blocks of each stage; every second block's windows are
            shifted.
        heads: Heads of each stage's attention; they divide its channels.
        window: Side of a window in tokens; a stage with fewer is one window.
        mlp_ratio: Inner width of a block's dense layers, in widths.
        positions: `none` or `learned`, added to the patches.
        image_size: Side in pixels of the images that windows and positions are made
            for.
        qkv_bias: Whether queries, keys and values have biases.
        patch_norm: Whether the first tokens are normed.
        drop_path: Share of the examples that skip a branch of the last block in
            training, in [0, 1); grows linearly from 0 in the first. Needs `seeds`.
        init: How kernels start; see `kernel_initializer`.
        epsilon: Added to the variance by the norms.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If an argument is unknown or out of range, or images of
            `image_size` do not fit.
    """

    def __init__(
        self,
        patch_size: int = 4,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        mlp_ratio: float = 4.0,
        positions: str = NO_POSITIONS,
        image_size: int = 224,
        qkv_bias: bool = True,
        patch_norm: bool = True,
        drop_path: float = 0.0,
        init: str = "normal",
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "swin", **kwargs})
        checks.one_of((NO_POSITIONS, "learned"), positions=positions)
        checks.positive(patch_size=patch_size, width=width, window=window)
        if not depths or len(depths) != len(heads) or min(*depths, *heads) < 1:
            raise ValueError(
                "Swin needs a positive depth and number of heads for each stage; "
                f"received depths={tuple(depths)}, heads={tuple(heads)}."
            )
        self.patch_size, self.width, self.window = patch_size, width, window
        self.depths, self.heads = tuple(depths), tuple(heads)
        self.mlp_ratio, self.positions, self.image_size = (
            mlp_ratio,
            positions,
            image_size,
        )
        self.qkv_bias, self.patch_norm = qkv_bias, patch_norm
        self.drop_path, self.init, self.epsilon = drop_path, init, epsilon
        self.feature_dim = width * 2 ** (len(self.depths) - 1)
        self.sides = [window] * len(self.depths)
        self.grids = self.stage_grids(image_size, image_size)
        self.sides = [ops.window_and_shift(grid, window)[0] for grid in self.grids]
        policy = {"dtype": self.dtype_policy}
        self.patches = PatchProjection(
            patch_size, width, init, name="patches", **policy
        )
        self.first_norm = (
            LayerNorm(epsilon, name="first_norm", **policy) if patch_norm else None
        )
        self.stages = [self._stage(i) for i in range(len(self.depths))]
        self.merges = [
            PatchMerging(init, epsilon, name=f"merge{i + 1}", **policy)
            for i in range(len(self.depths) - 1)
        ]
        self.norm = LayerNorm(epsilon, name="norm", **policy)

    def _stage(self, stage: int) -> list[SwinBlock]:
        """The blocks of a stage."""
        first, last = sum(self.depths[:stage]), max(1, sum(self.depths) - 1)
        return [
            SwinBlock(
                self.heads[stage],
                self.sides[stage],
                shifted=bool(i % 2),
                mlp_ratio=self.mlp_ratio,
                qkv_bias=self.qkv_bias,
                drop_path=self.drop_path * (first + i) / last,
                index=first + i,
                init=self.init,
                epsilon=self.epsilon,
                name=f"stage{stage + 1}_block{i + 1}",
                dtype=self.dtype_policy,
            )
            for i in range(self.depths[stage])
        ]

    def build(self, input_shape: Any = None) -> None:
        del input_shape  # Sizes of images make no difference.
        rows, columns = self.grids[0]
        self.position_table = None
        if self.positions != NO_POSITIONS:
            self.position_table = self.add_weight(
                name="positions",
                shape=(1, rows * columns, self.width),
                initializer=keras.initializers.RandomNormal(stddev=0.02),
            )
        self.patches.build((None, None, None, 3))
        if self.first_norm is not None:
            self.first_norm.build((None, None, self.width))
        for i, blocks in enumerate(self.stages):
            shape = (None, None, None, self.width * 2**i)
            for block in blocks:
                block.build(shape)
            if i < len(self.merges):
                self.merges[i].build(shape)
        self.norm.build(shape)

    def stage_grids(self, height: int, width: int) -> list[tuple[int, int]]:
        """Rows and columns of tokens of each stage.

        Args:
            height: Of the image in pixels.
            width: Of the image in pixels.

        Raises:
            ValueError: If the sides are unknown, no multiples of the patch size, or
                windows do not fill a stage.
        """
        first = rows, columns = patch_grid(self.name, self.patch_size, height, width)
        grids = []
        for i, side in enumerate(self.sides):
            if rows % 2**i or columns % 2**i:
                raise ValueError(self._misfit(first, i, "Not all merge two by two."))
            grid = (rows // 2**i, columns // 2**i)
            try:
                ops.window_and_shift(grid, side)
            except ValueError as error:
                raise ValueError(self._misfit(first, i, str(error))) from error
            grids.append(grid)
        return grids

    def _misfit(self, first: tuple[int, int], stage: int, why: str) -> str:
        height, width = (side * self.patch_size for side in first)
        units = (self.patch_size * 2**i * side for i, side in enumerate(self.sides))
        return (
            f"{self.name} cannot take images of {height} x {width} px, which do not "
            f"fit its stage {stage + 1}: {why} Multiples of {math.lcm(*units)} px fit "
            "all stages."
        )

    def embed(
        self,
        images: tf.Tensor,
        mask: tf.Tensor | None = None,
        mask_token: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Patches as tokens, normed, with their positions.

        Args:
            images: `(n, h, w, 3)` in [0, 1].
            mask: `(n, patches)`, 1 where a patch is hidden; none is if None.
            mask_token: `(width,)`, what stands in a hidden patch's place (SimMIM,
                microsoft/SimMIM models/simmim.py).
            training: For the norm.

        Returns:
            `(n, rows, columns, width)` in the compute dtype.
        """
        if not self.built:
            self.build()
        x = self.normalize(images)
        grid, *_ = self.stage_grids(*images.shape[1:3])
        x = self.patches(x)
        if self.first_norm is not None:
            x = self.first_norm(x, training=training)
        x = with_hidden(x, mask, mask_token)
        if self.position_table is not None:
            table = tf.cast(self.position_table.value, tf.float32)
            table = ops.interpolate_positions(
                table, self.grids[0], grid, class_token=False
            )
            x += tf.cast(table, x.dtype)
        return tf.reshape(x, [-1, *grid, self.width])

    def stage_maps(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
        **hidden: Any,
    ) -> list[tf.Tensor]:
        """Maps at the end of each stage, before patches merge; the last one normed.

        Args:
            images: `(n, h, w, 3)` in [0, 1].
            training: Whether `drop_path` drops.
            seeds: `(n, 2)` int32, one for each example, for `drop_path`.
            **hidden: `mask` and `mask_token` of `embed`.

        Returns:
            `(n, rows / 2**i, columns / 2**i, width * 2**i)` for stage `i` from 0.
        """
        x = self.embed(images, training=training, **hidden)
        found: list[tf.Tensor] = []
        for i, blocks in enumerate(self.stages):
            if i:
                x = self.merges[i - 1](x, training=training)
            for block in blocks:
                x = block(x, training=training, seeds=seeds)
            found.append(x)
        return [*found[:-1], self.norm(x, training=training)]

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """`stage_maps` as `{"stage1": (n, h, w, c), ...}`."""
        found = self.stage_maps(images, training)
        return {f"stage{i + 1}": x for i, x in enumerate(found)}

    def call(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
    ) -> tf.Tensor:
        last = self.stage_maps(images, training, seeds)[-1]
        return tf.reduce_mean(tf.cast(last, tf.float32), axis=[1, 2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{n: getattr(self, n) for n in _OPTIONS}}
