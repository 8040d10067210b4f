"""ViT: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929.

As self-supervised methods use it: DINO (https://arxiv.org/abs/2104.14294), MAE
(https://arxiv.org/abs/2111.06377), MoCo v3 (https://arxiv.org/abs/2104.02057).
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core.registry import register
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.initializers import kernel_initializer
from keras_ssl.layers.layer_norm import LayerNorm
from keras_ssl.layers.transformer import TransformerBlock

FIXED_POSITIONS: dict[str, Callable[..., tf.Tensor]] = {
    "sincos": ops.sincos_position_embedding_2d,
    "moco_v3": ops.moco_v3_position_embedding,
}
POSITIONS = ("learned", *FIXED_POSITIONS)
POOLING = ("class", "mean")


@register("encoder")
@keras.saving.register_keras_serializable("keras_ssl")
class ViT(Encoder):
    """Vision transformer with a class token and a norm at its end.

    Sizes of the papers, as `(width, depth, heads)`: tiny `(192, 12, 3)`, small
    `(384, 12, 6)`, base `(768, 12, 12)`, large `(1024, 24, 16)`, huge
    `(1280, 32, 16)` with patches of 14. MoCo v3's small has 12 heads.

    Images may have any size that is a multiple of the patch size. Positions of
    another grid than the one they were made for are interpolated bicubically from
    it: learned ones as in facebookresearch/dino, fixed ones as in
    facebookresearch/mae util/pos_embed.py.

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
        freeze_patches: Whether the projection of patches stays as it is drawn, which
            keeps contrastive methods stable (MoCo v3, section 4.1).
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "vit", **kwargs})
        for name, given, known in (
            ("positions", positions, POSITIONS),
            ("pooling", pooling, POOLING),
        ):
            if given not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {given!r}."
                )
        if depth < 1 or heads < 1 or width < 1 or width % heads:
            raise ValueError(
                "A ViT needs at least one block and a width that its heads share "
                f"equally; received width={width}, depth={depth}, heads={heads}."
            )
        if positions in FIXED_POSITIONS and width % 4:
            raise ValueError(
                f"positions={positions!r} need a multiple of 4 as width, got {width}."
            )
        if patch_size < 1:
            raise ValueError(f"patch_size must be at least 1, got {patch_size}.")
        self.patch_size, self.width, self.depth = patch_size, width, depth
        self.heads, self.mlp_ratio, self.qkv_bias = heads, mlp_ratio, qkv_bias
        self.positions, self.pooling, self.image_size = positions, pooling, image_size
        self.drop_path, self.init = drop_path, init
        self.freeze_patches = freeze_patches
        self.feature_dim = width
        # A convolution whose stride is its size; on a CPU the dense layer is faster,
        # in bfloat16 up to 20 times.
        self.patches = keras.layers.Dense(
            width,
            kernel_initializer=(
                # As PyTorch's convolutions, which DINO leaves as they are.
                keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
                if init == "normal"
                else kernel_initializer(init)
            ),
            name="patches",
            trainable=not freeze_patches,
            dtype=self.dtype_policy,
        )
        self.blocks = [
            TransformerBlock(
                heads,
                mlp_ratio,
                qkv_bias,
                drop_path=drop_path * i / max(1, depth - 1),
                index=i,
                init=init,
                name=f"block{i + 1}",
                dtype=self.dtype_policy,
            )
            for i in range(depth)
        ]
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.grid(image_size, image_size)

    def build(self, input_shape: Any = None) -> None:
        del input_shape  # Sizes of images make no difference.
        grid = self.grid(self.image_size, self.image_size)
        learned = self.positions == "learned"

        def table(shape: Any, dtype: Any = None) -> tf.Tensor:
            fixed = FIXED_POSITIONS[self.positions]
            made = fixed(self.width, grid, class_token=True)[None]
            return tf.cast(made, dtype or tf.float32)

        # As MoCo v3's; the others' is that of every other token.
        spread = 1e-6 if self.init == "xavier_qkv" else 0.02
        self.class_token = self.add_weight(
            name="class_token",
            shape=(1, 1, self.width),
            initializer=keras.initializers.RandomNormal(stddev=spread),
        )
        self.position_table = self.add_weight(
            name="positions",
            shape=(1, 1 + grid[0] * grid[1], self.width),
            initializer=(
                keras.initializers.RandomNormal(stddev=0.02) if learned else table
            ),
            trainable=learned,
        )
        self.patches.build((None, None, self.patch_size**2 * 3))
        tokens = (None, None, self.width)
        for block in self.blocks:
            block.build(tokens)
        self.norm.build(tokens)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches in an image.

        Raises:
            ValueError: If the sides are unknown or no multiples of the patch size.
        """
        size = self.patch_size
        if not height or not width or height % size or width % size:
            raise ValueError(
                f"{self.name} has patches of {size} px: it needs images whose sides "
                f"are known and multiples of it; got {height} x {width}."
            )
        return height // size, width // size

    def positions_for(self, height: int, width: int) -> tf.Tensor:
        """Position embeddings of an image's tokens, that of the class token first.

        Args:
            height: Of the image in pixels.
            width: Of the image in pixels.

        Returns:
            `(1, 1 + patches, width)` float32.
        """
        self._make_variables()
        return ops.interpolate_positions(
            tf.cast(self.position_table.value, tf.float32),
            self.grid(self.image_size, self.image_size),
            self.grid(height, width),
            offset=0.1 if self.positions == "learned" else 0.0,
        )

    def embed(
        self,
        images: tf.Tensor,
        training: bool = False,
        mask: tf.Tensor | None = None,
        mask_token: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Patches as tokens, with their positions, without the class token.

        Args:
            images: `(n, h, w, 3)` in [0, 1].
            training: Not used; here for symmetry with `encode`.
            mask: `(n, patches)`, 1 where a patch is hidden; none is if None.
            mask_token: `(width,)`, what stands in a hidden patch's place. It gets the
                patch's position.

        Returns:
            `(n, patches, width)` in the compute dtype, row by row.
        """
        del training
        x = self.normalize(images)
        positions = self.positions_for(*images.shape[1:3])[:, 1:]
        tokens = self.patches(ops.patchify(x, self.patch_size))
        if mask is not None:
            token = tf.cast(mask_token, tokens.dtype)
            tokens = tf.where(mask[..., None] > 0, token, tokens)
        return tokens + tf.cast(positions, tokens.dtype)

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
        x = self._with_class_token(tokens)
        for block in self.blocks:
            x = block(x, training=training, seeds=seeds)
        return self.norm(x, training=training)

    def call(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
    ) -> tf.Tensor:
        tokens = self.encode(self.embed(images, training), training, seeds)
        tokens = tf.cast(tokens, tf.float32)
        if self.pooling == "class":
            return tokens[:, 0]
        return tf.reduce_mean(tokens[:, 1:], axis=1)

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Patch tokens after each block, in order; the last one after the norm.

        `{"block1": (n, rows, columns, width), ...}`.
        """
        shape = [-1, *self.grid(*images.shape[1:3]), self.width]
        x = self._with_class_token(self.embed(images))
        found = {}
        for block in self.blocks:
            x = block(x, training=training)
            last = block is self.blocks[-1]
            patches = (self.norm(x) if last else x)[:, 1:]
            found[block.name] = tf.reshape(patches, shape)
        return found

    def attention(self, images: tf.Tensor) -> tf.Tensor:
        """How much each token takes of each in the last block, in inference.

        Args:
            images: `(n, h, w, 3)` in [0, 1].

        Returns:
            `(n, heads, 1 + patches, 1 + patches)` float32, class token first; rows
            add up to 1.
        """
        x = self._with_class_token(self.embed(images))
        for block in self.blocks[:-1]:
            x = block(x)
        return self.blocks[-1].attention_probabilities(x)

    def _with_class_token(self, tokens: tf.Tensor) -> tf.Tensor:
        self._make_variables()
        token = self.class_token.value + self.position_table.value[:, :1]
        token = tf.tile(tf.cast(token, tokens.dtype), [tf.shape(tokens)[0], 1, 1])
        return tf.concat([token, tokens], axis=1)

    def _make_variables(self) -> None:
        # Masked methods never call the encoder as a whole.
        if not self.built:
            self.build()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "positions": self.positions,
            "pooling": self.pooling,
            "image_size": self.image_size,
            "qkv_bias": self.qkv_bias,
            "drop_path": self.drop_path,
            "init": self.init,
            "freeze_patches": self.freeze_patches,
        }
