"""Exact nearest neighbours by cosine or Euclidean distance, in bounded memory.

What is compared in full are only rows that can be among the nearest: cheap bounds of
all similarities (`bounds`) come first, the `k` rows with about the highest ones are
compared, and then all others whose bounds are not below the `k`-th best of those. Rows
with too many such candidates are asked again with narrower bounds, and in the end
compared with everything, so that the result is exact for any features.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.evaluation import bounds

DISTANCES = ("cosine", "euclidean")
# Bounds held at a time: 64 MB of float32.
_CHUNK = 16 << 20
# Numbers of rows compared at a time, which should stay in a core's cache: 1 MB.
_GATHERED = 1 << 18
# Narrower features need no basis: little would be saved.
_WIDE, _BASIS = 512, 256
# Test rows that are asked first, to see how well bounds tell.
_PILOT = 64
# Bounds of which only the greatest is looked at first.
_GROUP = 32
# To compare so many rows in full costs as much as the bounds of all.
_MOST = 64
# Of single precision, as a share of squared lengths: far above what was seen.
_ROUNDING = 1e-5


class Neighbours(NamedTuple):
    """Rows of train that are nearest to each row of test, nearest first.

    `indices` is `(m, k)` int64; `similarity` `(m, k)` float32: the cosine, or minus the
    Euclidean distance.
    """

    indices: np.ndarray
    similarity: np.ndarray


def nearest(
    train: np.ndarray, test: np.ndarray, k: int, distance: str = "cosine"
) -> Neighbours:
    """Finds the `k` nearest train rows of every test row, exactly.

    Args:
        train: `(n, d)` floats.
        test: `(m, d)` floats.
        k: How many, in `[1, n]`. Of rows equally near the first are taken.
        distance: `cosine` or `euclidean`.

    Returns:
        The neighbours. Bounds of all similarities are held for part of test at a time.

    Raises:
        ValueError: If `k` or the shapes do not fit, or the distance is unknown.
    """
    _check(train, test, k, distance)
    train, test = (np.asarray(x, np.float32) for x in (train, test))
    search = _Search(train, distance, len(test), k)
    rows = max(1, min(len(test), _CHUNK // len(train)))
    starts = [0, *range(min(_PILOT, rows), len(test), rows)]
    ends = [*starts[1:], len(test)]
    parts = [search.of(test[a:b]) for a, b in zip(starts, ends, strict=True)]
    index, similarity = map(np.concatenate, zip(*parts, strict=True))
    return Neighbours(index, similarity)


class _Search:
    """Train rows, prepared for the questions of so many test rows.

    Rows are scaled to unit length for the cosine, which is then the greater, the nearer
    rows are by Euclid.
    """

    def __init__(self, train: np.ndarray, distance: str, asked: int, k: int) -> None:
        self.train, self.euclidean, self.k = train, distance == "euclidean", k
        self.scale = self._scale(train)
        self.mean = (self.scale @ train) / len(train)
        self.group = max(1, min(_GROUP, len(train) // (8 * k)))
        self.most = max(4 * k + 64, len(train) // _MOST)
        # From the cheapest on; the second is made if it is needed.
        self.levels: list[bounds.Bounds | None] = [None]
        count = len(train)
        # To prepare all rows takes as much as to compare so many.
        saves = count * asked > 2 * _BASIS * (count + asked + 4096)
        if saves and train.shape[1] > _WIDE:
            basis = bounds.basis(train, self.scale, self.mean, _BASIS)
            if basis is not None:
                self.levels.insert(0, self._bounds(basis))

    def of(self, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of each row: indices and similarities."""
        scale = self._scale(test)
        index = np.empty((len(test), self.k), np.int64)
        similarity = np.empty(index.shape, np.float32)
        left = np.arange(len(test))
        for level in tuple(self.levels):
            if not len(left):
                break
            made = level or self._bounds(None)
            sure, *found = self._bounded(made, test[left], scale[left])
            index[left[sure]], similarity[left[sure]] = found
            where = self.levels.index(level)
            self.levels[where] = made
            if 2 * sure.sum() < len(left):
                # Of features like noise little is spared; nor is it of further rows.
                del self.levels[where]
            left = left[~sure]
        if len(left):
            index[left], similarity[left] = self._in_full(test[left], scale[left])
        return index, similarity

    def _scale(self, x: np.ndarray) -> np.ndarray:
        """What rows are multiplied by; one of zeros has no direction, and stays so."""
        if self.euclidean:
            return np.ones(len(x), np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", x, x))
        return 1 / np.where(lengths > 0, lengths, np.inf).astype(np.float32)

    def _bounds(self, basis: tf.Tensor | None) -> bounds.Bounds:
        # A row of zeros is like nothing, though it is as near as any by Euclid.
        bias = np.where(self.scale > 0, 0.0, -0.5)
        given = self.train, self.scale, self.mean
        return bounds.Bounds(*given, bias, basis, self.group)

    def _bounded(
        self, table: bounds.Bounds, test: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which rows `(m,)` have few candidates, and the best of those rows."""
        most, lengths, unit = table.of(test, scale)
        first = self._likely(most)
        rows = np.repeat(np.arange(len(test)), self.k)
        near = self._compare(test, scale, rows, first.ravel())
        known = near.reshape(first.shape).min(axis=1)
        # Whatever is as near as the last of those has such a bound at least.
        if self.euclidean:
            least = 0.5 * (lengths**2 - known**2)
            least -= _ROUNDING * (lengths**2 + known**2)
        else:
            least = known - 1 + 0.5 * lengths**2 - _ROUNDING * (0.1 + lengths**2)
        above = np.asarray(most) >= least[:, None] / unit
        above[rows, first.ravel()] = False
        sure = np.count_nonzero(above, axis=1) <= self.most
        sure &= np.isfinite(least)
        above[~sure] = False
        more, others = np.divmod(np.flatnonzero(above), above.shape[1])
        kept = sure[rows]
        every = (
            np.concatenate([rows[kept], more]),
            np.concatenate([first.ravel()[kept], others]),
            np.concatenate([near[kept], self._compare(test, scale, more, others)]),
        )
        return sure, *self._best(*every)

    def _likely(self, most: tf.Tensor) -> np.ndarray:
        """Columns `(m, k)` with high bounds: the highest ones of the best groups."""
        count = len(most)
        groups = tf.reshape(most, [count, self.group, -1])
        index = tf.math.top_k(tf.reduce_max(groups, axis=1), self.k).indices.numpy()
        if self.group == 1:
            return index.astype(np.int64)
        step = groups.shape[2]
        columns = index[:, :, None] + step * np.arange(self.group)
        values = np.asarray(most)[np.arange(count)[:, None, None], columns]
        best = np.argmax(values, axis=2)
        return np.take_along_axis(columns, best[:, :, None], 2)[:, :, 0]

    def _in_full(
        self, test: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best of each row, of those that single precision holds to be near."""
        near = (test * scale[:, None]) @ self.train.T
        if self.euclidean:
            near -= 0.5 * np.einsum("nd,nd->n", self.train, self.train)
        else:
            near *= self.scale
        count = min(len(self.train), 2 * self.k + 32)
        index = tf.math.top_k(near, count).indices.numpy().astype(np.int64).ravel()
        rows = np.repeat(np.arange(len(test)), count)
        return self._best(rows, index, self._compare(test, scale, rows, index))

    def _compare(
        self, test: np.ndarray, scale: np.ndarray, rows: np.ndarray, index: np.ndarray
    ) -> np.ndarray:
        """Similarities `(p,)` of test rows `(p,)` and train rows `(p,)`, one by one.

        Products of matrices cannot tell near duplicates apart by Euclid, and what they
        make of equal rows depends on their places.
        """
        near = np.empty(len(rows), np.float32)
        step = max(1, _GATHERED // test.shape[1])
        for at in range(0, len(rows), step):
            part = slice(at, at + step)
            x, y = self.train[index[part]], test[rows[part]]
            if self.euclidean:
                x -= y
                near[part] = -np.sqrt(np.einsum("pd,pd->p", x, x))
            else:
                near[part] = np.einsum("pd,pd->p", x, y)
        if not self.euclidean:
            near *= scale[rows] * self.scale[index]
        return near

    def _best(
        self, rows: np.ndarray, index: np.ndarray, near: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` of each row's pairs; of those equally near the first."""
        order = np.lexsort((index, -near, rows))
        starts = np.unique(rows[order], return_index=True)[1]
        best = order[starts[:, None] + np.arange(self.k)]
        return index[best], near[best]


def _check(train: np.ndarray, test: np.ndarray, k: int, distance: str) -> None:
    if distance not in DISTANCES:
        raise ValueError(
            f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}."
        )
    shapes = np.shape(train), np.shape(test)
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"Features must be (n, d) and (m, d), of one width; got {shapes[0]} and "
            f"{shapes[1]}."
        )
    if not 1 <= k <= shapes[0][0]:
        raise ValueError(
            f"k must be in [1, {shapes[0][0]}], the train examples; got {k}."
        )
