"""W-MSE: Ermolov et al. 2021, https://arxiv.org/abs/2007.06346."""

import itertools

import keras
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import distribute
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Scalars


@register("method")
class WMSE(Method):
    """Pulls views together after each has been whitened, so that nothing can collapse.

    Each view is whitened by groups of the global batch. Row `i` belongs to group
    `i % groups`, on any number of replicas the same one; batches come in random order,
    so this is the random cut of htdt/self-supervised methods/w_mse.py.

    Args:
        encoder: Maps images to `(n, d)` features.
        projector: Maps features to `(n, k)` projections.
        group_size: Images that are whitened together, at least twice `k`; divides the
            batch size. The whole batch by default.
        eps: Share in [0, 1] of the identity in the covariance, 0 in the paper.

    Raises:
        ValueError: If the groups do not divide the batch.
    """

    num_views = 2
    paper = "https://arxiv.org/abs/2007.06346"
    year = 2021
    family = "redundancy reduction"
    spans = "statistics"
    compared = ("z",)

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.layers.Layer,
        group_size: int | None = None,
        eps: float = 0.0,
    ) -> None:
        super().__init__(encoder)
        self.projector = projector
        self.group_size = group_size
        self.eps = eps

    def forward(self, batch: Batch) -> Outputs:
        views = batch["views"]
        features = [self.encoder(view, training=True) for view in views]
        z = self.projector(tf.concat(features, axis=0), training=True)
        return {"z": tf.stack(tf.split(z, len(views)), axis=1)}

    def objective(self, outputs: Outputs) -> Scalars:
        z = outputs["z"]
        groups = self._groups(z.shape[0])
        pairs = itertools.combinations(tf.unstack(z, axis=1), 2)
        found = [
            losses.wmse(z1[group::groups], z2[group::groups], self.eps)
            for z1, z2 in pairs
            for group in range(groups)
        ]
        return {"loss": tf.add_n(found) / len(found)}

    def _groups(self, local: int) -> int:
        """How many groups a batch of so many rows a replica is cut into."""
        rows = local * distribute.replicas()
        size = self.group_size or rows
        groups = max(1, rows // size)
        if rows % size or local % groups:
            raise ValueError(
                f"WMSE.group_size {size} must divide the batch of {rows}, and its "
                f"{groups} groups the {local} rows of each replica."
            )
        return groups
