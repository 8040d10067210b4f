"""Images as tokens with positions: what comes before a transformer's blocks."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ssl import ops
from keras_ssl.core import checks
from keras_ssl.encoders.base import Encoder
from keras_ssl.layers.patch_stem import ConvStem, PatchProjection

FIXED_POSITIONS: dict[str, Callable[..., tf.Tensor]] = {
    "sincos": ops.sincos_position_embedding_2d,
    "moco_v3": ops.moco_v3_position_embedding,
}
POSITIONS = ("learned", *FIXED_POSITIONS)
NO_POSITIONS = "none"
STEMS: dict[str, type[keras.layers.Layer]] = {
    "linear": PatchProjection,
    "conv": ConvStem,
}


def patch_grid(name: str, size: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches of `size` pixels in an image.

    Raises:
        ValueError: If the sides are unknown or no multiples of the patch size.
    """
    if not height or not width or height % size or width % size:
        raise ValueError(
            f"{name} has patches of {size} px: it needs images whose sides "
            f"are known and multiples of it; got {height} x {width}."
        )
    return height // size, width // size


def with_hidden(
    tokens: tf.Tensor, mask: tf.Tensor | None, mask_token: tf.Tensor | None
) -> tf.Tensor:
    """Tokens `(n, l, d)`, with `mask_token` `(d,)` where `mask` `(n, l)` is 1."""
    if mask is None:
        return tokens
    return tf.where(mask[..., None] > 0, tf.cast(mask_token, tokens.dtype), tokens)


class TokenEncoder(Encoder):
    """Projects patches to tokens, adds their positions, and keeps the class token.

    Images may have any size that is a multiple of the patch size. Positions of
    another grid than the one they were made for are interpolated bicubically from
    it: learned ones as in facebookresearch/dino, fixed ones as in
    facebookresearch/mae util/pos_embed.py.

    Class attributes:
        position_kinds: What `positions` may be; `none` is one where the blocks tell
            places apart.
        learned_offset: That of `ops.interpolate_positions` for learned positions.

    Args:
        patch_size: Side of a patch in pixels.
        width: Channels of a token.
        positions: `sincos` (fixed, MAE), `moco_v3` (fixed) or `learned` (DINO).
        image_size: Side in pixels of the images that positions are made for.
        init: How the projection starts; see `kernel_initializer`.
        freeze_patches: Whether what makes the tokens stays as it is drawn.
        stem: `linear` (a projection of each patch) or `conv` (`ConvStem`).
        **kwargs: `mean`, `std`, `name`.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    position_kinds: ClassVar[tuple[str, ...]] = POSITIONS
    learned_offset: ClassVar[float] = 0.1

    def __init__(
        self,
        patch_size: int,
        width: int,
        positions: str,
        image_size: int,
        init: str,
        freeze_patches: bool,
        stem: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.one_of(self.position_kinds, positions=positions)
        checks.one_of(STEMS, stem=stem)
        if patch_size < 1:
            raise ValueError(f"patch_size must be at least 1, got {patch_size}.")
        if positions in FIXED_POSITIONS and width % 4:
            raise ValueError(
                f"positions={positions!r} need a multiple of 4 as width, got {width}."
            )
        self.patch_size, self.width, self.positions = patch_size, width, positions
        self.image_size, self.init = image_size, init
        self.freeze_patches, self.stem = freeze_patches, stem
        self.feature_dim = width
        self.patches = STEMS[stem](
            patch_size,
            width,
            init,
            name="patches",
            dtype=self.dtype_policy,
        )
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
        self.position_table = None
        if self.positions != NO_POSITIONS:
            self.position_table = self.add_weight(
                name="positions",
                shape=(1, 1 + grid[0] * grid[1], self.width),
                initializer=(
                    keras.initializers.RandomNormal(stddev=0.02) if learned else table
                ),
                trainable=learned,
            )
        self.patches.build((None, None, None, 3))
        if self.freeze_patches:
            self.patches.trainable = False

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches in an image.

        Raises:
            ValueError: If the sides are unknown or no multiples of the patch size.
        """
        return patch_grid(self.name, self.patch_size, height, width)

    def positions_for(self, height: int, width: int) -> tf.Tensor:
        """Position embeddings of an image's tokens, that of the class token first.

        Args:
            height: Of the image in pixels.
            width: Of the image in pixels.

        Returns:
            `(1, 1 + patches, width)` float32.

        Raises:
            ValueError: If there are none.
        """
        self._make_variables()
        if self.position_table is None:
            raise ValueError(f"{self.name} has no positions: they are 'none'.")
        return ops.interpolate_positions(
            tf.cast(self.position_table.value, tf.float32),
            self.grid(self.image_size, self.image_size),
            self.grid(height, width),
            offset=self.learned_offset if self.positions == "learned" else 0.0,
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
            training: Whether norms of the stem use the batch's statistics.
            mask: `(n, patches)`, 1 where a patch is hidden; none is if None.
            mask_token: `(width,)`, what stands in a hidden patch's place. It gets the
                patch's position.

        Returns:
            `(n, patches, width)` in the compute dtype, row by row.
        """
        self._make_variables()
        x = self.normalize(images)
        self.grid(*images.shape[1:3])
        tokens = with_hidden(self.patches(x, training=training), mask, mask_token)
        if self.position_table is None:
            return tokens
        positions = self.positions_for(*images.shape[1:3])[:, 1:]
        return tokens + tf.cast(positions, tokens.dtype)

    def with_class_token(self, tokens: tf.Tensor) -> tf.Tensor:
        """Puts the class token, at its own position, before `(n, l, width)` tokens."""
        self._make_variables()
        token = self.class_token.value
        if self.position_table is not None:
            token = token + self.position_table.value[:, :1]
        token = tf.tile(tf.cast(token, tokens.dtype), [tf.shape(tokens)[0], 1, 1])
        return tf.concat([token, tokens], axis=1)

    def _make_variables(self) -> None:
        # Masked methods never call the encoder as a whole.
        if not self.built:
            self.build()
