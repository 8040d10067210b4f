"""A picture of the features at the end of a run, in two dimensions by t-SNE."""

import importlib.util
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.callbacks.pictures import draw_points
from keras_ssl.core import console, distribute, run_dir
from keras_ssl.core.registry import register
from keras_ssl.evaluation.data import EvaluationData, Frozen


@register("callback")
class TSNE(keras.callbacks.Callback):
    """Draws test features by t-SNE when training ends, coloured by class.

    As the figure of speakers in CPC (https://arxiv.org/abs/1807.03748): principal
    components first, perplexity 30, from 1,000 iterations. Distances between far
    groups, and the sizes of groups, mean nothing in such a picture. It needs
    scikit-learn (`pip install keras_ssl[plots]`); without it the run goes on, and says
    at its start that there will be no picture.

    Args:
        examples: Most examples that are drawn.
        classes: Most classes that are drawn, the first ones.
        perplexity: About how many neighbours a point has, positive.
        components: Principal components that are kept before.
        seed: Of t-SNE's start.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        examples: int = 2000,
        classes: int = 10,
        perplexity: float = 30.0,
        components: int = 50,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(examples, classes, components) < 2 or perplexity <= 0:
            raise ValueError(
                "TSNE needs at least 2 examples, classes and components and a positive "
                f"perplexity; got {examples}, {classes}, {components}, {perplexity}."
            )
        self.examples, self.classes, self.perplexity = examples, classes, perplexity
        self.components, self.seed = components, seed
        self.data: EvaluationData | None = None

    def open(
        self,
        directory: pathlib.Path,
        whole: EvaluationData,
        writer: tf.summary.SummaryWriter,
    ) -> None:
        """Says where the picture goes and what is drawn.

        Args:
            directory: The run's directory.
            whole: What the run is scored on; its test split is drawn.
            writer: TensorBoard's; not used.
        """
        del writer
        if importlib.util.find_spec("sklearn") is None:
            console.say(
                "There will be no t-SNE picture: it needs scikit-learn, as by pip "
                "install 'keras_ssl[plots]'."
            )
            return
        # Not only when all is done.
        whole.test.need_labels("t-SNE")
        self.path = directory / run_dir.TSNE
        self.data = EvaluationData(
            whole.train, whole.test, whole.size, 1, self.examples, whole.batch_size
        )

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.data is None or not distribute.is_chief():
            return
        found = self.data.features(Frozen(self.model.product))
        self.data.forget()
        chosen = found.test_labels < self.classes
        features, labels = found.test[chosen], found.test_labels[chosen]
        points = project(features, self.perplexity, self.components, self.seed)
        _, names = self.data.test.need_labels("t-SNE")
        console.say(f"Drawing {len(points)} test examples by t-SNE.")
        draw_points(self.path, points, labels, names)


def project(
    features: np.ndarray, perplexity: float = 30.0, components: int = 50, seed: int = 0
) -> np.ndarray:
    """Brings features to two dimensions by t-SNE.

    Args:
        features: `(n, d)`, at least four rows.
        perplexity: About how many neighbours a point has; lowered for few points.
        components: Principal components that are kept before.
        seed: Of t-SNE's optimisation.

    Returns:
        `(n, 2)` float32.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    from sklearn import decomposition, manifold

    features = np.asarray(features, np.float32)
    count = min(components, *features.shape)
    if count < features.shape[1]:
        features = decomposition.PCA(count, random_state=seed).fit_transform(features)
    made: Any = manifold.TSNE(
        perplexity=min(perplexity, (len(features) - 1) / 3),
        early_exaggeration=12.0,
        learning_rate=200.0,
        max_iter=1000,
        init="pca",
        random_state=seed,
    )
    return made.fit_transform(features)
