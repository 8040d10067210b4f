"""iBOT: Zhou et al. 2021, https://arxiv.org/abs/2111.07832."""

import keras
import tensorflow as tf

from keras_ssl import losses, ops
from keras_ssl.core import checks, randomness
from keras_ssl.core.registry import register
from keras_ssl.memory.center import Center
from keras_ssl.memory.ema import Ema
from keras_ssl.methods import multi_crop
from keras_ssl.methods.base import Batch, Method, Outputs, Pictures, Scalars
from keras_ssl.schedules import Schedule

# Views that the target sees and of which patches are hidden; the first ones.
GLOBAL = 2


@register("method")
class IBOT(Method):
    """DINO, and the target's outputs for patches that are hidden from the encoder.

    The paper calls the branches student and teacher. One projector serves class tokens
    and patches. The first two views are the global ones: the target sees them whole,
    the encoder some of them with patches hidden in blocks. Local views are whole.

    Args:
        encoder: A ViT: `embed` makes patch tokens, `encode` maps them.
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

    num_views = GLOBAL
    paper = "https://arxiv.org/abs/2111.07832"
    year = 2021
    family = "self-distillation"
    needs = ("embed", "encode")
    spans = "statistics"

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
        super().__init__(encoder)
        checks.positive(student_temperature=student_temperature)
        self.projector = projector
        self.target = Ema([encoder], momentum)
        self.target_projector = Ema([projector], momentum)
        self.center = Center(center_momentum)
        self.patch_center = Center(center_momentum)
        self.teacher_temperature = teacher_temperature
        self.teacher_patch_temperature = teacher_patch_temperature
        self.student_temperature = student_temperature
        self.mask_ratio, self.mask_probability = mask_ratio, mask_probability
        self.mask_token = self.add_weight(
            name="mask_token", shape=(encoder.feature_dim,), initializer="zeros"
        )

    @property
    def product(self) -> keras.Model:
        """The target's encoder, as the paper evaluates."""
        return self.target.copies[0]

    def forward(self, batch: Batch) -> Outputs:
        views, masks = batch["views"], self._masks(batch)
        seeds = tf.unstack(randomness.view_seeds(batch["seed"], len(views)), axis=1)
        masked, whole = slice(GLOBAL), slice(GLOBAL, None)
        online = multi_crop.by_size(
            self._tokens, views[masked], seeds[masked], tf.unstack(masks, axis=1)
        )
        local = multi_crop.by_size(self._tokens, views[whole], seeds[whole])
        target = multi_crop.by_size(self._target_tokens, views[masked])
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
        student, teacher = (
            tf.transpose(outputs[name], [1, 0, 2]) for name in ("student", "teacher")
        )
        temperature = self.now(self.teacher_temperature)
        center = self.center(teacher)
        # Patches stay where they are: their mean is over views and images alike.
        found = losses.ibot(
            student,
            outputs["student_patch"],
            teacher,
            outputs["teacher_patch"],
            outputs["masks"],
            center,
            self.patch_center(outputs["teacher_patch"]),
            self.student_temperature,
            temperature,
            self.now(self.teacher_patch_temperature),
        )
        entropy = losses.teacher_entropy(teacher, center, temperature)
        return {**found, "teacher_entropy": entropy, "kl": found["cls"] - entropy}

    def remember(self, outputs: Outputs) -> None:
        self.center.update(outputs["teacher"])
        # All patches: the hidden ones alone would be few.
        self.patch_center.update(outputs["teacher_patch"])

    def pictures(self, outputs: Outputs) -> Pictures:
        """What was hidden, and what the target's class token attends to."""
        images, size = outputs["images"], self.encoder.patch_size
        attention = self.product.attention(images)
        drawn = ops.attention_pictures(images, attention, size)
        hidden = outputs["masks"][:, 0, :, None]
        patches = ops.patchify(images, size) * (1 - hidden) + 0.5 * hidden
        grid = self.encoder.grid(*images.shape[1:3])
        return {"masked": ops.unpatchify(patches, size, grid), **drawn}

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
        token = self.mask_token.value
        tokens = self.encoder.embed(images, training=True, mask=mask, mask_token=token)
        return self.encoder.encode(tokens, training=True, seeds=seeds)

    def _target_tokens(self, images: tf.Tensor) -> tf.Tensor:
        return self.product.encode(self.product.embed(images))


def _patches(tokens: list[tf.Tensor]) -> tf.Tensor:
    """The views' patches `(n, v, l, d)`, without their class tokens."""
    return tf.stack([each[:, 1:] for each in tokens], axis=1)
