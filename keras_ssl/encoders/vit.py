"""ViT: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929.

As self-supervised methods use it: DINO (https://arxiv.org/abs/2104.14294), MAE
(https://arxiv.org/abs/2111.06377), MoCo v3 (https://arxiv.org/abs/2104.02057).
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import randomness
from keras_ssl.core.registry import register
from keras_ssl.encoders.block_encoder import BlockEncoder
from keras_ssl.layers.transformer import TransformerBlock


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class ViT(BlockEncoder):
    """Vision transformer with a class token and a norm at its end.

    Sizes of the papers, as `(width, depth, heads)`: tiny `(192, 12, 3)`, small
    `(384, 12, 6)`, base `(768, 12, 12)`, large `(1024, 24, 16)`, huge
    `(1280, 32, 16)` with patches of 14. MoCo v3's small has 12 heads.

    Images may have any size that is a multiple of the patch size; positions are then
    interpolated (see `TokenEncoder`).

    Args:
        patch_size: Side of a patch in pixels.
        width: Channels of a token.
        depth: Number of blocks.
        heads: Heads of the attention; divides `width`.
        mlp_ratio: Inner width of a block's dense layers, in widths.
        positions: `sincos` (fixed, MAE), `moco_v3` (fixed) or `learned` (DINO).
        pooling: `class` (features are the class token) or `mean` (of the patch
            tokens). Both come after the last norm; MAE's fine-tuning norms after the
            mean instead.
        image_size: Side in pixels of the images that positions are made for.
        qkv_bias: Whether queries, keys and values have biases.
        drop_path: Share of the examples that skip a branch of the last block in
            training, in [0, 1); grows linearly from 0 in the first. Needs `seeds`.
        init: How kernels start: `xavier` (MAE), `xavier_qkv` (MoCo v3) or `normal`
            (DINO).
        freeze_patches: Whether what makes the tokens stays as it is drawn, which keeps
            contrastive methods stable (MoCo v3, section 4.1).
        stem: What makes the tokens: `linear` (a projection of each patch) or `conv`
            (3x3 convolutions of stride 2, https://arxiv.org/abs/2106.14881; MoCo v3's
            authors then take a block less). `conv` needs a `patch_size` that is a
            power of 2 and divides `width`.
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    def __init__(
        self,
        patch_size: int = 16,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        positions: str = "sincos",
        pooling: str = "class",
        image_size: int = 224,
        qkv_bias: bool = True,
        drop_path: float = 0.0,
        init: str = "xavier",
        freeze_patches: bool = False,
        stem: str = "linear",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            depth=depth,
            heads=heads,
            pooling=pooling,
            drop_path=drop_path,
            block=functools.partial(
                TransformerBlock, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias, init=init
            ),
            patch_size=patch_size,
            width=width,
            positions=positions,
            image_size=image_size,
            init=init,
            freeze_patches=freeze_patches,
            stem=stem,
            **{"name": "vit", **kwargs},
        )
        self.mlp_ratio, self.qkv_bias = mlp_ratio, qkv_bias

    def encode(
        self,
        tokens: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Puts the class token before, and runs all blocks and the last norm.

        Args:
            tokens: `(n, l, width)`: all that `embed` returns, or the visible ones.
            training: Whether `drop_path` drops.
            seeds: `(n, 2)` int32, one for each example, for `drop_path`.

        Returns:
            `(n, 1 + l, width)` in the compute dtype, class token first.
        """
        x = self.run_blocks(self.with_class_token(tokens), training, seeds)[-1]
        return self.norm(x, training=training)

    def visible_tokens(
        self,
        images: tf.Tensor,
        seeds: tf.Tensor,
        mask_ratio: float,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Tokens of some of an image's patches; the hidden ones cost nothing.

        Args:
            images: `(n, h, w, 3)` in [0, 1].
            seeds: `(n, 2)` int32, one for each example: which patches are hidden.
            mask_ratio: Share of patches that are hidden, in [0, 1).
            training: Whether `drop_path` drops, by the same seeds.

        Returns:
            `(n, 1 + kept, width)` tokens, class token first; `mask` and `ids_restore`
            of `ops.random_masking_from_noise`.
        """
        tokens = self.embed(images, training)
        noise = randomness.step_uniforms(seeds, tokens.shape[1])
        keep, mask, restore = ops.random_masking_from_noise(noise, mask_ratio)
        kept = tf.gather(tokens, keep, axis=1, batch_dims=1)
        return self.encode(kept, training, seeds), mask, restore

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mlp_ratio": self.mlp_ratio,
            "qkv_bias": self.qkv_bias,
            "init": self.init,
            "freeze_patches": self.freeze_patches,
            "stem": self.stem,
        }
