"""Where features lie in a plane, and which of them are asked for their neighbours."""

import importlib.util

import numpy as np

from keras_ssl.callbacks import tsne
from keras_ssl.core import console
from keras_ssl.data import pipeline

_QUERIES = 10
# Up to so many points t-SNE has one thread.
_ALONE = 2000


def placed(
    features: np.ndarray, seed: int, notes: list[str]
) -> tuple[np.ndarray | None, str]:
    """Where features lie in a plane.

    Args:
        features: `(n, d)`.
        seed: Of t-SNE.
        notes: Sentences on what is missing are appended.

    Returns:
        `(n, 2)` and how they came there; None if features are not finite.
    """
    if not np.isfinite(features).all():
        notes.append("There is no map: some features are not finite numbers.")
        return None, ""
    if len(features) < 4:
        return principal(features), "principal components, for so few points"
    if importlib.util.find_spec("sklearn") is None:
        notes.append(
            "The map shows the two first principal components: t-SNE needs "
            "scikit-learn, as by pip install 'keras_ssl[plots]'."
        )
        return principal(features), "the two first principal components"
    console.say(f"Placing {len(features):,} points by t-SNE.")
    from threadpoolctl import threadpool_limits

    # Its threads wait for each other at every step, which takes longer than the step
    # for few points, and many times as long where other work has the cores.
    with threadpool_limits(1 if len(features) <= _ALONE else None):
        return tsne.project(features, seed=seed), "t-SNE"


def principal(features: np.ndarray) -> np.ndarray:
    """The two first principal components.

    Args:
        features: `(n, d)`, finite.

    Returns:
        `(n, 2)`, the greatest number of a direction being positive.
    """
    centred = features - features.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    # The sign of a direction is free; so it is the same each time.
    most = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), most])
    found = centred @ (directions * signs[:, None]).T
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def queries(labels: np.ndarray | None, count: int) -> np.ndarray:
    """Which points ask: the first one of each class, or evenly spread ones.

    Args:
        labels: `(count,)` class numbers, or None.
        count: Number of points.

    Returns:
        Numbers of at most ten points; never chosen by what they find.
    """
    if labels is None:
        return pipeline.subset(count, _QUERIES)
    firsts = np.unique(labels, return_index=True)[1]
    return firsts[pipeline.subset(len(firsts), _QUERIES)]


def same_class(unit: np.ndarray, labels: np.ndarray) -> float:
    """Share of points whose nearest other one is of their class.

    Args:
        unit: `(n, d)` rows of length 1.
        labels: `(n,)` class numbers.
    """
    right = 0
    for at in range(0, len(unit), 1000):
        near = unit[at : at + 1000] @ unit.T
        rows = np.arange(len(near))
        near[rows, at + rows] = -np.inf
        right += int((labels[near.argmax(axis=1)] == labels[at + rows]).sum())
    return right / len(unit)
