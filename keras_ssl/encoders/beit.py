"""BEiT: Bao et al. 2021, https://arxiv.org/abs/2106.08254."""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.core.registry import register
from keras_ssl.encoders.block_encoder import BlockEncoder
from keras_ssl.encoders.tokens import NO_POSITIONS
from keras_ssl.layers.attention import QUERY_VALUE
from keras_ssl.layers.biased_block import BiasedBlock
from keras_ssl.layers.relative_bias import RelativeBias
from keras_ssl.layers.transformer import TransformerBlock

RELATIVE = ("shared", "per_block", "none")


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class BEiT(BlockEncoder):
    """Vision transformer that knows places by a bias of attention for each offset.

    Each branch is scaled by learned factors, and keys have no bias. Base is
    `(width, depth, heads) = (768, 12, 12)`, large `(1024, 24, 16)`. Sources: the
    authors' microsoft/unilm beit/modeling_pretrain.py (a bias shared by all blocks)
    and beit/modeling_finetune.py (one in each block). SimMIM's ViT and that of
    data2vec are the same network.

    Images may have any size that is a multiple of the patch size; see
    `ops.resize_relative_positions`. To hide patches give `tokens` a `mask` and a
    `mask_token`.

    Args:
        patch_size: Side of a patch in pixels.
        width: Channels of a token.
        depth: Number of blocks.
        heads: Heads of the attention; divides `width`.
        mlp_ratio: Inner width of a block's dense layers, in widths.
        relative: Biases of attention: `shared` by all blocks (pretraining),
            `per_block` (fine-tuning) or `none`.
        positions: `none` or `learned`, added to the patches and the class token.
        pooling: `class` (features are the class token, normed) or `mean` (of the
            patch tokens, which the norm follows, as for fine-tuning).
        image_size: Side in pixels of the images that biases and positions are made
            for.
        qkv_bias: Whether queries and values have biases; keys have none.
        layer_scale: What the factors of the branches start at: 0.1 for base, 1e-5 for
            large; there are none if None.
        drop_path: Share of the examples that skip a branch of the last block in
            training, in [0, 1); grows linearly from 0 in the first. Needs `seeds`.
        init: How kernels start; see `kernel_initializer`.
        epsilon: Added to the variance by the norms.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    position_kinds: ClassVar[tuple[str, ...]] = (NO_POSITIONS, "learned")
    learned_offset: ClassVar[float] = 0.0

    def __init__(
        self,
        patch_size: int = 16,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        relative: str = "shared",
        positions: str = NO_POSITIONS,
        pooling: str = "class",
        image_size: int = 224,
        qkv_bias: bool = True,
        layer_scale: float | None = 0.1,
        drop_path: float = 0.0,
        init: str = "normal_by_depth",
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        checks.one_of(RELATIVE, relative=relative)
        checks.positive(patch_size=patch_size)
        block: Any = TransformerBlock
        window = (image_size // patch_size,) * 2
        if relative == "per_block":
            block = functools.partial(BiasedBlock, window=window)
        super().__init__(
            depth=depth,
            heads=heads,
            pooling=pooling,
            drop_path=drop_path,
            block=functools.partial(
                block,
                mlp_ratio=mlp_ratio,
                qkv_bias=QUERY_VALUE if qkv_bias else False,
                init=init,
                layer_scale=layer_scale,
                epsilon=epsilon,
            ),
            epsilon=epsilon,
            patch_size=patch_size,
            width=width,
            positions=positions,
            image_size=image_size,
            init=init,
            freeze_patches=False,
            stem="linear",
            **{"name": "beit", **kwargs},
        )
        self.mlp_ratio, self.relative, self.qkv_bias = mlp_ratio, relative, qkv_bias
        self.layer_scale, self.epsilon = layer_scale, epsilon
        self.shared_bias = (
            RelativeBias(heads, window, class_token=True, dtype=self.dtype_policy)
            if relative == "shared"
            else None
        )

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if self.shared_bias is not None:
            self.shared_bias.build()

    def biases(self, grid: tuple[int, int]) -> Sequence[tf.Tensor | None]:
        """`(1, heads, 1 + l, 1 + l)` float32 for each block, or None."""
        if self.relative == "per_block":
            return [block.relative.bias(grid) for block in self.blocks]
        shared = None if self.shared_bias is None else self.shared_bias.bias(grid)
        return [shared] * self.depth

    def call(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if self.pooling == "class":
            return super().call(images, training, seeds)
        last = self.block_tokens(images, training, seeds)[-1]
        mean = tf.reduce_mean(tf.cast(last[:, 1:], tf.float32), axis=1)
        return tf.cast(self.norm(mean, training=training), tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mlp_ratio": self.mlp_ratio,
            "relative": self.relative,
            "qkv_bias": self.qkv_bias,
            "layer_scale": self.layer_scale,
            "init": self.init,
            "epsilon": self.epsilon,
        }
