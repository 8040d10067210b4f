"""Class tokens of a ViT's last blocks side by side: DINO's features for linear probes.

Caron et al. 2021, https://arxiv.org/abs/2104.14294, appendix F.2; as in
facebookresearch/dino eval_linear.py, each block's tokens after the encoder's last norm.
"""

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
    model = need_model(encode, "A probe of class tokens")
    if not hasattr(model, "block_tokens"):
        raise ValueError(
            f"{model.name} has no class token, so none of its last {blocks} blocks; "
            "leave class_tokens out, which is for ViTs."
        )
    if not 1 <= blocks <= model.depth:
        raise ValueError(
            f"class_tokens must be in [1, {model.depth}], the blocks of {model.name}, "
            f"got {blocks}."
        )

    @tf.function(autograph=False)
    def features(images: tf.Tensor) -> tf.Tensor:
        last = model.block_tokens(images, training=False)[-blocks:]
        normed = [tf.cast(model.norm(x, training=False), tf.float32) for x in last]
        found = [x[:, 0] for x in normed]
        if patches:
            found.append(tf.reduce_mean(normed[-1][:, 1:], axis=1))
        return tf.concat(found, axis=1)

    return features
