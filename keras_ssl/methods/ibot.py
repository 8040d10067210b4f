"""iBOT: Zhou et al. 2021, https://arxiv.org/abs/2111.07832."""

import functools

import keras
import tensorflow as tf

from keras_ssl import losses, ops
from keras_ssl.core import randomness
from keras_ssl.core.registry import register
from keras_ssl.memory.center import Center
from keras_ssl.methods import multi_crop
from keras_ssl.methods.base import Batch, Outputs, Pictures, Scalars
from keras_ssl.methods.self_distillation import GLOBAL, SelfDistillation
from keras_ssl.schedules import Schedule


@register("method")
class IBOT(SelfDistillation):
    """DINO, and the target's outputs for patches that are hidden from the encoder.

    The paper calls the branches student and teacher. One projector serves class tokens
    and patches. The first two views are the global ones: the target sees them whole,
    the encoder some of them with patches hidden in blocks. Local views are whole.

    Args:
        encoder: A ViT: `tokens` maps images to them, class tokens first.
        projector: Maps tokens `(..., d)` to logits `(..., k)`, such as a `DINOHead`.
        momentum: Schedule of the share that the target keeps at each step.
        teacher_temperature: Schedule of the divisor of the target's class logits.
        teacher_patch_temperature: The same of its patches' logits.
        student_temperature: Positive divisor of the online logits, the greater one.
        center_momentum: Share of both centers that is kept at each step, in [0, 1].
        mask_ratio: Least and greatest share of a view's patches that are hidden.
        mask_probability: Share of the global views that have hidden patches.

    Raises:
        TypeError: If the encoder is no ViT.
        ValueError: If a temperature or momentum is out of range.
    """

    paper = "https://arxiv.org/abs/2111.07832"
    needs = ("tokens",)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        momentum: Schedule,
        teacher_temperature: Schedule,
        teacher_patch_temperature: Schedule,
        student_temperature: float = 0.1,
        center_momentum: float = 0.9,
        mask_ratio: tuple[float, float] = (0.1, 0.5),
        mask_probability: float = 0.5,
    ) -> None:
        super().__init__(
            encoder,
            projector,
            momentum,
            teacher_temperature,
            student_temperature,
            center_momentum,
        )
        self.patch_center = Center(center_momentum)
        self.teacher_patch_temperature = teacher_patch_temperature
        self.mask_ratio, self.mask_probability = mask_ratio, mask_probability
        self.mask_token = self.add_weight(
            name="mask_token", shape=(encoder.feature_dim,), initializer="zeros"
        )

    def forward(self, batch: Batch) -> Outputs:
        views, masks = batch["views"], self._masks(batch)
        seeds = tf.unstack(randomness.view_seeds(batch["seed"], len(views)), axis=1)
        online = multi_crop.by_size(
            self._tokens, views[:GLOBAL], seeds[:GLOBAL], tf.unstack(masks, axis=1)
        )
        local = multi_crop.by_size(self._tokens, views[GLOBAL:], seeds[GLOBAL:])
        target = multi_crop.by_size(
            functools.partial(self.product.tokens, training=not self.drops_paths),
            views[:GLOBAL],
        )
        classes = tf.stack([tokens[:, 0] for tokens in online + local], axis=1)
        return {
            "student": self.projector(classes, training=True),
            "student_patch": self.projector(_patches(online), training=True),
            "teacher": self.target_projector(
                tf.stack([tokens[:, 0] for tokens in target], axis=1), training=True
            ),
            "teacher_patch": self.target_projector(_patches(target), training=True),
            "masks": masks,
            "features": classes[:, :GLOBAL],
            "images": views[0],
        }

    def objective(self, outputs: Outputs) -> Scalars:
        found = super().objective(outputs)
        # Patches stay where they are: their mean is over views and images alike.
        patch = losses.ibot_patch(
            outputs["student_patch"],
            outputs["teacher_patch"],
            outputs["masks"],
            self.patch_center(outputs["teacher_patch"]),
            self.student_temperature,
            self.now(self.teacher_patch_temperature),
        )
        cls = found["loss"]
        return found | {"loss": cls + patch, "cls": cls, "patch": patch}

    def remember(self, outputs: Outputs) -> None:
        super().remember(outputs)
        # All patches: the hidden ones alone would be few.
        self.patch_center.update(outputs["teacher_patch"])

    def pictures(self, outputs: Outputs) -> Pictures:
        """What was hidden, and what the target's class token attends to."""
        images, mask = outputs["images"], outputs["masks"][:, 0]
        masked = ops.hide_patches(images, mask, self.encoder.patch_size)
        # In this order.
        return {"image": images, "masked": masked} | super().pictures(outputs)

    def _masks(self, batch: Batch) -> tf.Tensor:
        """`(n, 2, patches)`, 1 where a patch is hidden."""
        grid = self.encoder.grid(*batch["views"][0].shape[1:3])
        draws = randomness.step_uniforms(batch["seed"], GLOBAL * ops.BLOCK_DRAWS)
        draws = tf.reshape(draws, [-1, ops.BLOCK_DRAWS])
        masks = ops.blocks_at_times(draws, grid, self.mask_ratio, self.mask_probability)
        return tf.reshape(masks, [-1, GLOBAL, grid[0] * grid[1]])

    def _tokens(
        self, images: tf.Tensor, seeds: tf.Tensor, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        hidden = {"mask": mask, "mask_token": self.mask_token.value}
        return self.encoder.tokens(images, training=True, seeds=seeds, **hidden)


def _patches(tokens: list[tf.Tensor]) -> tf.Tensor:
    """The views' patches `(n, v, l, d)`, without their class tokens."""
    return tf.stack([each[:, 1:] for each in tokens], axis=1)
