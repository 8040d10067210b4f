"""MSN: Assran et al. 2022, https://arxiv.org/abs/2204.07141."""

import functools

import keras
import tensorflow as tf

from keras_ssl import losses, metrics
from keras_ssl.core.registry import register
from keras_ssl.memory.ema import Ema
from keras_ssl.methods.base import Batch, Method, Outputs, Pictures, Scalars
from keras_ssl.methods.multi_crop import by_size
from keras_ssl.metrics.signs import UNIFORM, USAGE, information, logged
from keras_ssl.schedules import Schedule


@register("method")
class MSN(Method):
    """Finds for a masked view the prototypes that a target finds for a whole one.

    The first view is the target's. Of the second one patches are dropped, so that it
    costs less; all further ones, small and focal, are seen whole. That prototypes are
    used equally on average is part of the loss.

    Args:
        encoder: A ViT: `visible_tokens` drops patches and maps the others.
        projector: Maps features to `(n, k)` projections.
        prototypes: Maps projections to cosines with learned class vectors.
        momentum: Schedule of the share that the target keeps at each step.
        mask_ratio: Share of the second view's patches that are dropped, in [0, 1).
        temperature: Positive divisor of the cosines. Lower is sharper.
        sharpen_temperature: Positive; the target's probabilities are raised to its
            inverse.
        me_max_weight: Weight of the mean prediction's missing entropy, not negative.
        use_sinkhorn: Whether the target's assignments are balanced over the batch, as
            in the authors' code; the paper leaves it out.

    Raises:
        TypeError: If the encoder is no ViT.
        ValueError: If its features are not the class token, or `mask_ratio` is out of
            range.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2204.07141"
    year = 2022
    family = "clustering"
    needs = ("visible_tokens",)
    spans = "statistics"
    compared = ("target", "anchors")
    signs = (
        information(
            lambda m, x: m._sharp(tf.cast(m.prototypes(x["target"]), tf.float32)),
            UNIFORM,
        ),
        USAGE,
        logged("target_entropy"),
    )

    # Among so many images it shows those that are nearest to a prototype.
    shows = "prototypes"
    pictured = 256

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        prototypes: keras.layers.Layer,
        momentum: Schedule,
        mask_ratio: float = 0.15,
        temperature: float = 0.1,
        sharpen_temperature: float = 0.25,
        me_max_weight: float = 1.0,
        use_sinkhorn: bool = True,
    ) -> None:
        super().__init__(encoder)
        if getattr(encoder, "pooling", "class") != "class":
            raise ValueError("MSN needs the class token: set ViT.pooling = 'class'.")
        if not 0.0 <= mask_ratio < 1.0:
            raise ValueError(f"mask_ratio must be in [0, 1), got {mask_ratio}.")
        self.projector, self.prototypes = projector, prototypes
        self.target = Ema([encoder, projector], momentum)
        self.mask_ratio, self.temperature = mask_ratio, temperature
        self.sharpen_temperature = sharpen_temperature
        self.me_max_weight, self.use_sinkhorn = me_max_weight, use_sinkhorn

    @property
    def product(self) -> keras.Model:
        """The target's encoder, as the paper evaluates."""
        return self.target.copies[0]

    def forward(self, batch: Batch) -> Outputs:
        whole, masked, *focal = batch["views"]
        # A pass for each size through the projector too, as facebookresearch/msn.
        tokens, *_ = self.encoder.visible_tokens(
            masked, batch["seed"], self.mask_ratio, training=True
        )
        project = functools.partial(self.projector, training=True)
        anchors = [project(tf.cast(tokens[:, 0], tf.float32))]
        anchors += by_size(lambda x: project(self.encoder(x, training=True)), focal)
        return {
            "anchors": tf.stack(anchors, axis=1),
            "target": self.target(whole, training=True),
            "images": whole,
        }

    def objective(self, outputs: Outputs) -> Scalars:
        anchors, target = outputs["anchors"], outputs["target"]
        scores = tf.cast(self.prototypes(target), tf.float32)
        found = losses.msn(
            # View by view.
            tf.reshape(tf.transpose(anchors, [1, 0, 2]), [-1, anchors.shape[-1]]),
            target,
            tf.transpose(tf.convert_to_tensor(self.prototypes.kernel.value)),
            self.temperature,
            self.sharpen_temperature,
            self.me_max_weight,
            self.use_sinkhorn,
        )
        return {
            **found,
            "prototype_usage": losses.prototype_usage(scores),
            "target_entropy": metrics.mean_entropy(self._sharp(scores)),
        }

    def _sharp(self, scores: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(scores / (self.temperature * self.sharpen_temperature))

    def pictures(self, outputs: Outputs) -> Pictures:
        """Images nearest to each of the prototypes that most images prefer."""
        scores = self.prototypes(outputs["target"])
        return metrics.nearest_images(scores, outputs["images"])
