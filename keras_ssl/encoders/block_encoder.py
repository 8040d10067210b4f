"""Patches and a class token through a stack of blocks: what ViT and BEiT share."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ssl.core import checks
from keras_ssl.encoders.tokens import TokenEncoder
from keras_ssl.layers.layer_norm import LayerNorm
from keras_ssl.layers.transformer import TransformerBlock

POOLING = ("class", "mean")


class BlockEncoder(TokenEncoder):
    """Runs blocks over a class token and patches, and a norm after them.

    Args:
        depth: Number of blocks.
        heads: Heads of the attention; divides `width`.
        pooling: `class` (features are the class token) or `mean` (of the patch
            tokens), after the last norm.
        drop_path: Share of the examples that skip a branch of the last block in
            training, in [0, 1); grows linearly from 0 in the first. Needs `seeds`.
        block: Makes a block of `heads`, given `drop_path`, `index`, `name`, `dtype`.
        epsilon: Added to the variance by the last norm.
        **tokens: For `TokenEncoder`.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    def __init__(
        self,
        *,
        depth: int,
        heads: int,
        pooling: str,
        drop_path: float,
        block: Callable[..., TransformerBlock],
        epsilon: float = 1e-6,
        **tokens: Any,
    ) -> None:
        checks.one_of(POOLING, pooling=pooling)
        width = tokens["width"]
        if depth < 1 or heads < 1 or width < 1 or width % heads:
            raise ValueError(
                f"A {type(self).__name__} needs at least one block and a width that "
                f"its heads share equally; received width={width}, depth={depth}, "
                f"heads={heads}."
            )
        super().__init__(**tokens)
        self.depth, self.heads = depth, heads
        self.pooling, self.drop_path = pooling, drop_path
        self.blocks = [
            block(
                heads,
                drop_path=drop_path * i / max(1, depth - 1),
                index=i,
                name=f"block{i + 1}",
                dtype=self.dtype_policy,
            )
            for i in range(depth)
        ]
        self.norm = LayerNorm(epsilon, name="norm", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        tokens = (None, None, self.width)
        for block in self.blocks:
            block.build(tokens)
        self.norm.build(tokens)

    def biases(self, grid: tuple[int, int]) -> Sequence[tf.Tensor | None]:
        """What each block adds to its scores, for rows and columns of patches."""
        del grid
        return [None] * self.depth

    def run_blocks(
        self,
        x: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
        biases: Sequence[tf.Tensor | None] | None = None,
    ) -> list[tf.Tensor]:
        """The output of every block.

        Args:
            x: `(n, 1 + l, width)`, class token first.
            training: Whether `drop_path` drops.
            seeds: `(n, 2)` int32, one for each example, for `drop_path`.
            biases: Of each block's scores; none if None.

        Returns:
            Tensors of the shape of `x`, in the compute dtype, not normed.
        """
        found = []
        biases = [None] * self.depth if biases is None else biases
        for block, bias in zip(self.blocks, biases, strict=True):
            x = block(x, training=training, seeds=seeds, bias=bias)
            found.append(x)
        return found

    def block_tokens(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
        **hidden: Any,
    ) -> list[tf.Tensor]:
        """The output of every block, for all patches of images.

        Args:
            images: `(n, h, w, 3)` in [0, 1].
            training: Whether `drop_path` drops.
            seeds: `(n, 2)` int32, one for each example, for `drop_path`.
            **hidden: `mask` and `mask_token` of `embed`.

        Returns:
            `(n, 1 + patches, width)` tensors, class token first, not normed.
        """
        x = self.with_class_token(self.embed(images, training, **hidden))
        return self.run_blocks(x, training, seeds, self._biases(images))

    def tokens(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
        **hidden: Any,
    ) -> tf.Tensor:
        """The last of `block_tokens`, normed."""
        last = self.block_tokens(images, training, seeds, **hidden)[-1]
        return self.norm(last, training=training)

    def call(
        self,
        images: tf.Tensor,
        training: bool = False,
        seeds: tf.Tensor | None = None,
    ) -> tf.Tensor:
        tokens = tf.cast(self.tokens(images, training, seeds), tf.float32)
        if self.pooling == "class":
            return tokens[:, 0]
        return tf.reduce_mean(tokens[:, 1:], axis=1)

    def maps(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Patch tokens after each block, in order; the last one after the norm.

        `{"block1": (n, rows, columns, width), ...}`.
        """
        shape = [-1, *self.grid(*images.shape[1:3]), self.width]
        x = self.with_class_token(self.embed(images))
        outputs = self.run_blocks(x, training, biases=self._biases(images))
        outputs[-1] = self.norm(outputs[-1])
        return {
            block.name: tf.reshape(output[:, 1:], shape)
            for block, output in zip(self.blocks, outputs, strict=True)
        }

    def attention(self, images: tf.Tensor) -> tf.Tensor:
        """How much each token takes of each in the last block, in inference.

        Args:
            images: `(n, h, w, 3)` in [0, 1].

        Returns:
            `(n, heads, 1 + patches, 1 + patches)` float32, class token first; rows
            add up to 1.
        """
        x = self.with_class_token(self.embed(images))
        *biases, last = self._biases(images)
        for block, bias in zip(self.blocks[:-1], biases, strict=True):
            x = block(x, bias=bias)
        return self.blocks[-1].attention_probabilities(x, last)

    def _biases(self, images: tf.Tensor) -> Sequence[tf.Tensor | None]:
        return self.biases(self.grid(*images.shape[1:3]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "positions": self.positions,
            "pooling": self.pooling,
            "image_size": self.image_size,
            "drop_path": self.drop_path,
        }
