"""Class tokens of a ViT's last blocks side by side: DINO's features for linear probes.

Caron et al. 2021, https://arxiv.org/abs/2104.14294, appendix F.2; as in
facebookresearch/dino eval_linear.py, each block's tokens after the encoder's last norm.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_ssl.evaluation.data import Encode, need_model


def class_tokens(encode: Encode, blocks: int, patches: bool = False) -> Encode:
    """A compiled function of features of an encoder's last blocks.

    Args:
        encode: What an evaluation was given.
        blocks: How many of the last blocks, at least 1.
        patches: Whether the mean of the last block's patch tokens follows.

    Returns:
        Maps `(n, h, w, 3)` images to `(n, width * (blocks + patches))` float32.

    Raises:
        ValueError: If the encoder has no class tokens, or fewer blocks.
    """
    model = _with_class_tokens(encode)
    if not 1 <= blocks <= model.depth:
        raise ValueError(
            f"class_tokens must be in [1, {model.depth}], the blocks of {model.name}, "
            f"got {blocks}."
        )

    @tf.function(autograph=False)
    def features(images: tf.Tensor) -> tf.Tensor:
        normed = _normed(model, images)[-blocks:]
        found = [x[:, 0] for x in normed]
        if patches:
            found.append(tf.reduce_mean(normed[-1][:, 1:], axis=1))
        return tf.concat(found, axis=1)

    return features


def each_class_token(encode: Encode) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A compiled function of the class token of every block, by the block's name.

    Args:
        encode: What an evaluation was given.

    Returns:
        Maps `(n, h, w, 3)` images to `(n, width)` float32, from the first block on.

    Raises:
        ValueError: If the encoder has no class tokens.
    """
    model = _with_class_tokens(encode)
    found = tf.function(
        lambda images: [x[:, 0] for x in _normed(model, images)], autograph=False
    )
    names = [block.name for block in model.blocks]
    return lambda images: dict(zip(names, found(images), strict=True))


def _with_class_tokens(encode: Encode) -> Any:
    model = need_model(encode, "A probe of class tokens")
    if not hasattr(model, "block_tokens"):
        raise ValueError(
            f"{model.name} has no class tokens, which only ViTs have: leave out "
            "class_tokens, or pooling = 'class'."
        )
    return model


def _normed(model: Any, images: tf.Tensor) -> list[tf.Tensor]:
    """All tokens of each block after the encoder's last norm, float32."""
    blocks = model.block_tokens(images, training=False)
    return [tf.cast(model.norm(x, training=False), tf.float32) for x in blocks]
