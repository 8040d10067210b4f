"""InstDisc: Wu et al. 2018, https://arxiv.org/abs/1805.01978."""

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import checks, distribute, randomness
from keras_ssl.core.registry import register
from keras_ssl.memory.bank import Bank
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged

# Rows of noise by which Z is estimated, for each image of the first batch.
_ESTIMATE = 64


@register("method")
class InstDisc(Method):
    """Tells each training image from all others, with the images as their classes.

    A class is what the bank remembers of its image. All classes can be compared with,
    as the authors' code does for CIFAR, or some that are drawn anew for each image,
    by noise-contrastive estimation. The latter's normalisation Z is estimated on the
    first batch and then constant; estimated at each step it diverges.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to the `(n, k)` space of the bank.
        momentum: Share of an image's row in the bank that is kept when it is seen, in
            [0, 1).
        temperature: Positive divisor of the cosine logits. Lower is sharper.
        noise: Images drawn for each, with repetition; 0 compares with all.
        proximal: Factor, at least 0, of the squared distance from the image's row in
            the bank. The paper has 30, its code none.

    Raises:
        ValueError: If a number is out of range.
    """

    num_views = 1
    paper = "https://arxiv.org/abs/1805.01978"
    year = 2018
    family = "instance discrimination"
    spans = "statistics"
    compared = ("z",)
    signs = (logged("own"), logged("others"))

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        momentum: float = 0.5,
        temperature: float = 0.07,
        noise: int = 4096,
        proximal: float = 0.0,
    ) -> None:
        super().__init__(encoder)
        checks.positive(temperature=temperature)
        checks.not_negative(noise=noise, proximal=proximal)
        self.projector = projector
        self.bank = Bank(momentum)
        self.temperature, self.noise, self.proximal = temperature, noise, proximal
        # Z; 0 until the first batch has told it.
        self.normalizer = self.add_weight(
            name="normalizer", shape=(), initializer="zeros", trainable=False
        )

    def forward(self, batch: Batch) -> Outputs:
        features = self.encoder(batch["views"][0], training=True)
        z = self.projector(features, training=True)
        outputs = {"z": z, "index": batch["index"]}
        if self.noise:
            drawn = randomness.step_uniforms(batch["seed"], self.noise)
            places = tf.cast(drawn * float(self.bank.rows), tf.int32)
            # A number just below 1 is rounded up where there are many rows.
            outputs["noise"] = tf.minimum(places, self.bank.rows - 1)
        return outputs

    def objective(self, outputs: Outputs) -> Scalars:
        z = tf.math.l2_normalize(outputs["z"], axis=-1)
        bank, index = self.bank(z), outputs["index"]
        own = tf.stop_gradient(self.bank.read(index))
        near = tf.reduce_sum(z * own, axis=-1)
        if self.noise:
            others = self._cosines(z, outputs["noise"])
            scale = self._normalizer(outputs)
            own_score, noise_scores = (
                tf.exp(x / self.temperature) / scale for x in (near, others)
            )
            loss = losses.nce(own_score, noise_scores, self.bank.rows, self.noise)
        else:
            others = tf.matmul(z, bank, transpose_b=True)
            logits = others / self.temperature
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(index, logits)
            loss = tf.reduce_mean(loss)
        if self.proximal:
            moved = tf.reduce_sum(tf.math.squared_difference(z, own), axis=-1)
            loss += self.proximal * tf.reduce_mean(moved)
        # Of cosines the first grows far beyond the second as images are told apart.
        cosines = tf.reduce_mean(near), tf.reduce_mean(others)
        return {"loss": loss, "own": cosines[0], "others": cosines[1]}

    def remember(self, outputs: Outputs) -> None:
        # Before the bank moves: the loss of this step had the same Z.
        if self.noise:
            self.normalizer.assign(self._normalizer(outputs))
        self.bank.update(outputs["index"], outputs["z"])

    def _cosines(self, z: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """`(n, m)` products of `(n, d)` unit vectors with rows of the bank."""
        rows = tf.stop_gradient(self.bank.read(places))
        return tf.einsum("nd,nmd->nm", z, rows)

    def _normalizer(self, outputs: Outputs) -> tf.Tensor:
        """Z: the sum of `exp(cosine / temperature)` over all images, of a mean one."""
        z = tf.stop_gradient(tf.math.l2_normalize(outputs["z"], axis=-1))
        cosines = self._cosines(z, outputs["noise"][:, :_ESTIMATE])
        mean = distribute.mean(tf.reduce_mean(tf.exp(cosines / self.temperature)))
        known = tf.convert_to_tensor(self.normalizer)
        return tf.where(known > 0, known, mean * float(self.bank.rows))
