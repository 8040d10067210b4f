"""Exact nearest neighbours by cosine or Euclidean distance, in bounded memory.

Of wide features most of what tells neighbours from others lies in few directions. With
an orthonormal basis of those, `x = P x + r`, and the similarity of two rows is at most
`P x . P y + |r_x| |r_y|` (Cauchy and Schwarz), one product of narrow matrices. The
candidates with the highest bounds are compared in full; where the next bound is below
the `k`-th best of them, nothing else can be nearer. Rows for which that does not hold
are compared with everything, so that the result is exact for any features.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

DISTANCES = ("cosine", "euclidean")
# Similarities held at a time: 128 MB of float32.
_CHUNK = 32 << 20
# Narrower features are compared in full: little would be saved.
_WIDE = 512
_BASIS = 256
# Rows whose directions make the basis.
_SAMPLE = 4096
# Candidates held at a time, in numbers: 64 MB.
_GATHERED = 16 << 20
# Of products of float32, as a share of the lengths: far above what was seen (2e-7).
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
        The neighbours. Beside them at most some 500 MB are taken above the features.

    Raises:
        ValueError: If `k` or the shapes do not fit, or the distance is unknown.
    """
    _check(train, test, k, distance)
    train, test = (np.asarray(x, np.float32) for x in (train, test))
    search = _Search(train, distance)
    rows = max(1, min(len(test), _CHUNK // len(train)))
    parts = [search.of(test[at : at + rows], k) for at in range(0, len(test), rows)]
    index, similarity = map(np.concatenate, zip(*parts, strict=True))
    return Neighbours(index, similarity)


class _Search:
    """Train rows, prepared for the questions of test rows.

    What is compared is `x . y + b`: of unit vectors with `b = 0` the cosine; with
    `b = -|x|^2 / 2` the greater, the nearer by Euclid.
    """

    def __init__(self, train: np.ndarray, distance: str) -> None:
        self.train, self.euclidean = train, distance == "euclidean"
        self.lengths = np.sqrt(np.einsum("nd,nd->n", train, train))
        self.scale = self._scale(self.lengths)
        self.bias = -0.5 * self.lengths**2 * self.euclidean
        self.basis = _basis(train) if train.shape[1] > _WIDE else None
        if self.basis is not None:
            self.narrow = self._narrow(train, self.lengths, self.scale)

    def of(self, test: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` nearest of each row: indices and similarities."""
        lengths = np.sqrt(np.einsum("nd,nd->n", test, test))
        scale = self._scale(lengths)
        count = min(len(self.train), 2 * k + 32)
        if self.basis is None or count == len(self.train):
            return self._in_full(test, scale, k)
        narrow = self._narrow(test, lengths, scale)
        bounds, index = (x.numpy() for x in tf.math.top_k(self._bounds(narrow), count))
        found, similarity = self._best(test, scale, index, k)
        # Nothing beyond the candidates is nearer than the last one's bound says.
        known = similarity[:, -1]
        if self.euclidean:
            known = (lengths**2 - known**2) / 2
        sizes = lengths * scale * (1 + float(np.max(self.lengths * self.scale)))
        unsure = bounds[:, -1] + _ROUNDING * sizes > known
        if unsure.any():
            whole = self._in_full(test[unsure], scale[unsure], k)
            found[unsure], similarity[unsure] = whole
        if 2 * unsure.sum() > len(test):
            # Of features like noise nothing is spared; that of further rows is likely.
            self.basis = None
        return found, similarity

    def _scale(self, lengths: np.ndarray) -> np.ndarray:
        """What rows are multiplied by; one of zeros has no direction, and stays so."""
        if self.euclidean:
            return np.ones_like(lengths)
        return 1 / np.where(lengths > 0, lengths, np.inf)

    def _narrow(
        self, x: np.ndarray, lengths: np.ndarray, scale: np.ndarray
    ) -> tf.Tensor:
        """Coordinates in the basis, and the length of what is outside of it."""
        inside = tf.matmul(x, self.basis).numpy()
        squares = np.einsum("nd,nd->n", inside, inside)
        rest = np.sqrt(np.maximum(lengths**2 - squares, 0.0))
        return tf.constant(np.column_stack([inside, rest]) * scale[:, None])

    def _bounds(self, narrow: tf.Tensor) -> tf.Tensor:
        """Upper bounds `(m, n)` of what is compared."""
        return tf.matmul(narrow, self.narrow, transpose_b=True) + self.bias

    def _in_full(
        self, test: np.ndarray, scale: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best of each row among all."""
        product = tf.matmul(test * scale[:, None], self.train, transpose_b=True)
        if not self.euclidean:
            near, index = tf.math.top_k(product * self.scale, k)
            return index.numpy().astype(np.int64), near.numpy()
        count = min(len(self.train), 2 * k + 32)
        index = tf.math.top_k(product + self.bias, count).indices.numpy()
        return self._best(test, scale, index, k)

    def _best(
        self, test: np.ndarray, scale: np.ndarray, index: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best of each row's candidates `(m, c)`, compared anew without a loss.

        Products of single precision cannot tell near duplicates apart by Euclid.
        """
        # Candidates by their place: of those equally near the first are taken.
        index = np.sort(index, axis=1)
        near = np.empty(index.shape, np.float32)
        rows = max(1, _GATHERED // (index.shape[1] * test.shape[1]))
        for at in range(0, len(test), rows):
            part = slice(at, at + rows)
            candidates = self.train[index[part]]
            if self.euclidean:
                candidates -= test[part, None]
                squares = np.einsum("mcd,mcd->mc", candidates, candidates)
                near[part] = -np.sqrt(squares)
            else:
                cosines = np.matmul(candidates, test[part, :, None])[..., 0]
                near[part] = cosines * scale[part, None] * self.scale[index[part]]
        order = np.argsort(-near, axis=1, kind="stable")[:, :k]
        return (
            np.take_along_axis(index, order, 1).astype(np.int64),
            np.take_along_axis(near, order, 1),
        )


def _basis(x: np.ndarray) -> tf.Tensor:
    """Orthonormal directions `(d, 256)` in which a sample of rows extends the most.

    By two rounds of subspace iteration (Halko et al. 2011, algorithm 4.4): nearly the
    best ones are as good as the best, and take a hundredth of the time.
    """
    step = max(1, len(x) // _SAMPLE)
    sample = tf.constant(x[::step][:_SAMPLE])
    start = np.random.default_rng(0).normal(size=(x.shape[1], _BASIS))
    basis = tf.constant(start, tf.float32)
    for _ in range(3):
        seen = tf.matmul(sample, tf.linalg.qr(basis).q)
        basis = tf.matmul(sample, seen, transpose_a=True)
    return tf.linalg.qr(basis).q


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
