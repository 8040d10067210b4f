"""The decoder of MAE: He et al. 2021, https://arxiv.org/abs/2111.06377."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core.registry import register
from keras_ssl.layers.initializers import kernel_initializer
from keras_ssl.layers.layer_norm import LayerNorm
from keras_ssl.layers.transformer import TransformerBlock


@register("head")
@keras.saving.register_keras_serializable("keras_ssl")
class MAEDecoder(keras.layers.Layer):
    """Visible tokens to the pixels of all patches, through a small transformer.

    A learned token stands in for every hidden patch; positions are fixed sines and
    cosines. Source: facebookresearch/mae models_mae.py.

    Args:
        width: Channels of a token; a multiple of 4 that `heads` divides.
        depth: Number of blocks.
        heads: Heads of the attention.
        mlp_ratio: Inner width of a block's dense layers, in widths.
        patch_size: Side of the encoder's patches in pixels.
        image_size: Side in pixels of the images that positions are made for. Those
            of another square grid are interpolated.
        init: How kernels start: see `layers.initializers.kernel_initializer`.
        **kwargs: For `keras.layers.Layer`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        width: int = 512,
        depth: int = 8,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        patch_size: int = 16,
        image_size: int = 224,
        init: str = "xavier",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "decoder", **kwargs})
        if depth < 1 or heads < 1 or width % heads or width % 4:
            raise ValueError(
                "An MAE decoder needs at least one block and a width that is a "
                "multiple of 4 and that its heads share equally; received "
                f"width={width}, depth={depth}, heads={heads}."
            )
        if image_size < 1 or patch_size < 1 or image_size % patch_size:
            raise ValueError(
                "image_size must be a multiple of patch_size; received "
                f"image_size={image_size}, patch_size={patch_size}."
            )
        self.width, self.depth, self.heads = width, depth, heads
        self.mlp_ratio, self.init = mlp_ratio, init
        self.patch_size, self.image_size = patch_size, image_size

        def dense(size: int, name: str) -> keras.layers.Dense:
            return keras.layers.Dense(
                size,
                kernel_initializer=kernel_initializer(init),
                name=name,
                dtype=self.dtype_policy,
            )

        self.embed = dense(width, "embed")
        self.blocks = [
            TransformerBlock(
                heads,
                mlp_ratio,
                index=i,
                init=init,
                name=f"block{i + 1}",
                dtype=self.dtype_policy,
            )
            for i in range(depth)
        ]
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.predict = dense(patch_size**2 * 3, "predict")

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        side = self.image_size // self.patch_size
        table = ops.sincos_position_embedding_2d
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, 1, self.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        self.position_table = self.add_weight(
            name="positions",
            shape=(1, 1 + side**2, self.width),
            initializer=lambda shape, dtype=None: tf.cast(
                table(self.width, side, class_token=True)[None], dtype or tf.float32
            ),
            trainable=False,
        )
        self.embed.build(input_shape)
        tokens = (None, None, self.width)
        for layer in (*self.blocks, self.norm, self.predict):
            layer.build(tokens)

    def positions_for(self, patches: int) -> tf.Tensor:
        """`(1, 1 + patches, width)` float32, row of the class token first.

        Raises:
            ValueError: If the patches are not of a square image.
        """
        own = self.image_size // self.patch_size
        side = math.isqrt(patches)
        if side**2 != patches:
            raise ValueError(
                f"{self.name} needs the patches of a square image, got {patches}."
            )
        table = tf.cast(self.position_table.value, tf.float32)
        return ops.interpolate_positions(table, (own, own), (side, side))

    def call(
        self, tokens: tf.Tensor, ids_restore: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Predicts the pixels of all patches.

        Args:
            tokens: `(n, 1 + kept, d)` encoder output, class token first.
            ids_restore: `(n, patches)` integers: at each patch the place of its token
                if the kept ones came first and the hidden ones after them.
            training: For the blocks.

        Returns:
            `(n, patches, patch_size**2 * 3)`, hidden patches and visible ones.
        """
        x = self.embed(tokens)
        rows, kept = tf.shape(x)[0], tf.shape(x)[1] - 1
        patches = ids_restore.shape[1]
        hidden = tf.cast(self.mask_token.value, x.dtype)
        hidden = tf.tile(hidden, [rows, patches - kept, 1])
        shuffled = tf.concat([x[:, 1:], hidden], axis=1)
        patch = tf.gather(shuffled, ids_restore, axis=1, batch_dims=1)
        x = tf.concat([x[:, :1], patch], axis=1)
        x += tf.cast(self.positions_for(patches), x.dtype)
        for block in self.blocks:
            x = block(x, training=training)
        return self.predict(self.norm(x, training=training)[:, 1:])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "patch_size": self.patch_size,
            "image_size": self.image_size,
            "init": self.init,
        }
