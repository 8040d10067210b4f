"""CPC: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748 (v2: 1905.09272)."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ssl import losses, ops
from keras_ssl.augmentations.patches import render_patches
from keras_ssl.core import distribute, randomness
from keras_ssl.core.registry import register
from keras_ssl.layers.predict_ahead import PredictAhead
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars
from keras_ssl.metrics.signs import logged


@register("method")
class CPC(Method):
    """Tells what comes next in an image or a recording from what comes elsewhere.

    Args:
        encoder: `latents` maps its input to patches or frames `(n, rows, columns, d)`
            and says which are real; rows are time. `PatchEncoder`, `AudioEncoder`.
        contexts: For each direction (down, up, right, left) a causal layer over the
            latents, such as `PixelCNN`; if none, the encoder's own `context`, downward.
        steps: Greatest distance that is predicted, rows or frames.
        skip: So many of the least distances are not, as patches overlap.
        width: Width that targets are mapped to first; None takes latents as they are.
        scale: Positive factor of the predictions (v2: 0.1).
        positions: Predictions an example and distance, drawn anew; all if None.
            Memory grows with the square.
        patch_views: Renders a view of each patch by itself (v2); none if None.

    Raises:
        TypeError: If the encoder has no latents, or no context and none is given.
        ValueError: If a number is out of range or there are too many contexts.
    """

    num_views = 1
    paper = "https://arxiv.org/abs/1807.03748"
    year = 2018
    family = "predictive"
    spans = "gathers"
    signs = (
        logged(
            "loss",
            relative=True,
            warns=(None, 0.99),
            advice="nothing is predicted; does a norm or a skip of 0 tell of it?",
        ),
    )

    def __init__(
        self,
        encoder: keras.Model,
        contexts: Sequence[keras.layers.Layer] = (),
        steps: int = 5,
        skip: int = 1,
        width: int | None = None,
        scale: float = 1.0,
        positions: int | None = None,
        patch_views: Any = None,
    ) -> None:
        super().__init__(encoder)
        needed = ("latents",) if contexts else ("latents", "context")
        if missing := [name for name in needed if not hasattr(encoder, name)]:
            raise TypeError(
                f"CPC needs an encoder with {' and '.join(missing)}, such as a "
                f"PatchEncoder with contexts or an AudioEncoder; got {encoder.name}."
            )
        if not 0 <= skip < steps or scale <= 0 or positions == 0:
            raise ValueError(
                "CPC needs 0 <= skip < steps and a positive scale and positions; got "
                f"skip={skip}, steps={steps}, scale={scale}, positions={positions}."
            )
        if len(contexts) > len(ops.DIRECTIONS):
            raise ValueError(f"There are 4 directions; got {len(contexts)} contexts.")
        self.contexts, self.patch_views = list(contexts), patch_views
        self.scale, self.distances = scale, range(skip + 1, steps + 1)
        self.target = keras.layers.Dense(width, name="target") if width else None
        self.directions = ops.DIRECTIONS[: len(contexts) or 1]
        self.predictors = [
            PredictAhead(width or encoder.latent_dim, self.distances, positions, name=d)
            for d in self.directions
        ]

    def forward(self, batch: Batch) -> Outputs:
        view, seeds = batch["views"][0], batch["seed"]
        if self.patch_views is None:
            latents, valid = self.encoder.latents(view, training=True)
        else:
            patches = self.encoder.patches(view)
            patches = render_patches(self.patch_views, patches, seeds)
            latents, valid = self.encoder.encode(patches, training=True)
        targets = latents if self.target is None else self.target(latents)
        shape = [len(self.distances), latents.shape[1] * latents.shape[2]]
        outputs: Outputs = {}
        for i, way in enumerate(self.directions):
            z, y, real = (ops.turned(x, way) for x in (latents, targets, valid))
            context = self.contexts[i] if self.contexts else self.encoder.context
            noise = randomness.step_uniforms(seeds, shape[0] * shape[1], stream=1 + i)
            noise = tf.reshape(noise, [-1, *shape])
            found = self.predictors[i](context(z), y, real, noise)
            for k, parts in zip(self.distances, found, strict=True):
                outputs |= {_key(way, k, j): part for j, part in enumerate(parts)}
        return outputs

    def objective(self, outputs: Outputs) -> Scalars:
        every: dict[str, list[tf.Tensor]] = {"loss": [], "accuracy": []}
        for way, k in itertools.product(self.directions, self.distances):
            parts = [outputs[_key(way, k, j)] for j in range(3)]
            rows = [tf.reshape(x, [-1, *x.shape[2:]]) for x in parts]
            rows[0] *= self.scale
            loss = losses.cpc_info_nce(*rows)
            candidates = distribute.total(tf.reduce_sum(rows[2]))
            # 1 is guessing; below it for every k once something is learned.
            share = loss / tf.math.log(tf.maximum(candidates, 2.0))
            every["loss"].append(loss)
            every["accuracy"].append(losses.cpc_accuracy(*rows))
            every.setdefault(f"loss_share_{k}", []).append(share)
        return {name: tf.add_n(found) / len(found) for name, found in every.items()}


def _key(direction: str, distance: int, part: int) -> str:
    return f"{('prediction', 'target', 'valid')[part]}_{direction}{distance}"
