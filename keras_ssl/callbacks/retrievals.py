"""Retrievals: some images with those that an encoder finds most like them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_ssl.callbacks import sheets
from keras_ssl.evaluation.data import unit_rows


class Retrieved(NamedTuple):
    """What was found for each of `m` queries, most similar first.

    `queries` is `(m,)`, `indices` `(m, k)`, both rows of the features; `similarity`
    `(m, k)`, cosines.
    """

    queries: np.ndarray
    indices: np.ndarray
    similarity: np.ndarray


def retrieve(
    features: np.ndarray, queries: int | Sequence[int] = 8, count: int = 8
) -> Retrieved | None:
    """Finds the images most like some of them, by the cosine of features.

    Args:
        features: `(n, d)` floats.
        queries: Rows that ask; or how many, which are the same for the same `n`. They
            are not among those that are found.
        count: How many are found for each, at most.

    Returns:
        The queries with what was found; None where nothing is left to be found, or a
        feature is no number.
    """
    if not np.isfinite(features).all():
        return None
    n = len(features)
    asked = chosen(n, queries) if isinstance(queries, int) else np.asarray(queries)
    rest = np.setdiff1d(np.arange(n), asked)
    if not len(rest) or not len(asked):
        return None
    unit = unit_rows(np.asarray(features, np.float32))
    cosines = unit[asked] @ unit[rest].T
    first = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return Retrieved(asked, rest[first], np.take_along_axis(cosines, first, 1))


def chosen(n: int, count: int) -> np.ndarray:
    """So many of `n` rows, at no regular distance, and always the same; in order.

    At most a quarter of all: the others are to be found.
    """
    # Classes may lie at regular distances.
    order = np.random.default_rng(0).permutation(n)
    return np.sort(order[: min(count, n // 4)])


def rows(
    pictures: Sequence[np.ndarray],
    found: Retrieved,
    labels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
) -> Mapping[str, list[sheets.Cell]]:
    """What `sheets.sheet` draws of retrievals: a row a query, the query first.

    Args:
        pictures: Of all images, as for `sheets.fitted`.
        found: What was found.
        labels: `(n,)` class numbers: frames then are green where the class is the
            query's, else red.
        names: Of the classes.

    Returns:
        Cells by the name of their row; below each its cosine.
    """
    table = {}
    for at, (query, indices, similarity) in enumerate(zip(*found, strict=True), 1):
        name = f"query {at}"
        if labels is not None and names is not None:
            name = f"{at}: {names[int(labels[query])]}"
        table[name] = [sheets.Cell(pictures[query], "query", sheets.BLUE)]
        for index, cosine in zip(indices, similarity, strict=True):
            color = None
            if labels is not None:
                same = labels[index] == labels[query]
                color = sheets.GREEN if same else sheets.RED
            cell = sheets.Cell(pictures[index], f"{cosine:.2f}", color)
            table[name].append(cell)
    return table
