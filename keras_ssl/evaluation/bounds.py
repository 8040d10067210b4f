"""What similarities of many rows can be at most, from one cheap product of matrices.

A product is made cheap by half precision, by fewer columns, or by both. What it leaves
out is bounded by lengths (Cauchy and Schwarz): if rows `x` and `y` are known as `x'`
and `y'`, then `x . y <= x' . y' + |x - x'| |y| + |x'| |y - y'|`, which is a product
again, of rows with two more columns each.
"""

import functools
import time

import numpy as np
import tensorflow as tf

# Rows prepared at a time, few enough for a core's cache.
_ROWS = 512
# Rows whose directions make a basis, and how often they are looked at.
_SAMPLE, _ROUNDS = 1024, 2
# The least share of the squares of lengths that directions should know.
_KEPT = 0.98
# Of single precision, as shares of lengths: far above what was seen (2e-7).
_COORDINATES, _CENTRING = 1e-5, 1e-6
# The two more columns are rounded themselves, by 2^-9 at most; so they are raised.
_RAISED = 1.01
# Of half precision: a product is rounded to the nearest number of 8 digits.
_DIGITS = 2.0**-8
# Of narrower rows, little of the time goes into products.
_WORTH_HALF = 128


class Bounds:
    """Bounds of `x . y - |y|^2 / 2 + b`, which is the greater, the nearer `y` to `x`.

    Args:
        train: `(n, d)` float32, the rows `y`.
        scale: `(n,)`: what they are multiplied by first.
        mean: `(d,)`: what is taken off then; the nearer to their mean, the closer are
            the bounds.
        bias: `(n,)`: `b`.
        basis: Orthonormal directions `(d, w)` to know rows by, and by the length of
            what is left; all directions if None.
        fill: The number of bounds of a row is a multiple of this; those that there is
            no row for are minus infinity.
    """

    def __init__(
        self,
        train: np.ndarray,
        scale: np.ndarray,
        mean: np.ndarray,
        bias: np.ndarray,
        basis: tf.Tensor | None,
        fill: int,
    ) -> None:
        self._mean, self._basis = mean, basis
        self._given = 2 * float(np.linalg.norm(mean))
        width = train.shape[1] if basis is None else basis.shape[1] + 1
        # Of sums of so many products, whatever their order.
        self._sums = (width + 2) * 2.0**-23
        self._half = width >= _WORTH_HALF and half_is_faster()
        self._type = tf.bfloat16 if self._half else tf.float32
        # A product that was rounded may have been greater by this share.
        self._more = 1 + _DIGITS if self._half else 1.0
        known, size = self._known(train, scale, asked=False)
        more = -len(train) % fill
        self._train = tf.pad(known, [[0, more], [0, 0]])
        lost = (_COORDINATES * size + _CENTRING * (size + self._given)) * size
        bias = (bias - 0.5 * size**2 + lost) / self._more
        bias = np.pad(bias, (0, more), constant_values=-np.inf)
        self._bias = tf.constant(bias, tf.float32)

    def of(
        self, test: np.ndarray, scale: np.ndarray
    ) -> tuple[tf.Tensor, np.ndarray, float]:
        """Bounds `(m, n or more)` of test rows `(m, d)`, scaled by `(m,)`.

        Returns:
            The bounds, divided by a number; the lengths `(m,)` of the rows without the
            mean; and that number.
        """
        known, size = self._known(test, scale, asked=True)
        product = tf.matmul(known, self._train, transpose_b=True)
        if self._half:
            # Below zero what was rounded may have been greater by less than its size.
            product = tf.cast(product, tf.float32)
            product = tf.nn.leaky_relu(product, (1 - _DIGITS) / (1 + _DIGITS))
        return product + self._bias, size, self._more

    def _known(
        self, x: np.ndarray, scale: np.ndarray, asked: bool
    ) -> tuple[tf.Tensor, np.ndarray]:
        """Rows as the product has them, and their lengths without the mean."""
        parts = [
            self._part(x[at : at + _ROWS], scale[at : at + _ROWS], asked)
            for at in range(0, len(x), _ROWS)
        ]
        known, size = zip(*parts, strict=True)
        return tf.concat(known, 0), np.concatenate(size)

    def _part(
        self, x: np.ndarray, scale: np.ndarray, asked: bool
    ) -> tuple[tf.Tensor, np.ndarray]:
        x = tf.constant(x * scale[:, None] - self._mean)
        square = tf.reduce_sum(x * x, axis=1, keepdims=True)
        size = tf.sqrt(square)
        if self._basis is not None:
            inside = tf.matmul(x, self._basis)
            rest = square - tf.reduce_sum(inside * inside, axis=1, keepdims=True)
            # The length of what is outside of the basis, rounded up.
            rest = tf.sqrt(tf.nn.relu(rest) + _COORDINATES * square)
            x = tf.concat([inside, rest], axis=1)
        known = tf.cast(x, self._type)
        # As from what was given the mean is taken off, that is at most so long.
        error = (self._sums + _COORDINATES) * size + _CENTRING * (size + self._given)
        if self._half:
            x -= tf.cast(known, tf.float32)
            error += tf.sqrt(tf.reduce_sum(x * x, axis=1, keepdims=True))
        pair = (size + error, error) if asked else (error, size + error)
        more = (tf.cast(_RAISED * v, self._type) for v in pair)
        return tf.concat([known, *more], axis=1), size.numpy()[:, 0]


def basis(
    train: np.ndarray, scale: np.ndarray, mean: np.ndarray, width: int
) -> tf.Tensor | None:
    """Orthonormal directions `(d, width)` in which rows extend the most.

    By subspace iteration (Halko et al. 2011, algorithm 4.4) on a sample of them: nearly
    the best ones are as good as the best, and take a hundredth of the time.

    Args:
        train: `(n, d)` float32.
        scale: `(n,)`: what rows are multiplied by.
        mean: `(d,)`: what is taken off then.
        width: How many, less than `d`.

    Returns:
        The directions; None if they leave out too much for bounds to be of use.
    """
    step = max(1, len(train) // _SAMPLE)
    rows = slice(0, step * _SAMPLE, step)
    sample = tf.constant(train[rows] * scale[rows, None] - mean)
    start = np.random.default_rng(0).normal(size=(train.shape[1], width))
    found = tf.constant(start, tf.float32)
    for _ in range(_ROUNDS):
        seen = tf.matmul(sample, tf.linalg.qr(found).q)
        found = tf.matmul(sample, seen, transpose_a=True)
    found = tf.linalg.qr(found).q
    kept = tf.reduce_sum(tf.matmul(sample, found) ** 2)
    return found if kept > _KEPT * tf.reduce_sum(sample**2) else None


@functools.cache
def half_is_faster() -> bool:
    """Whether products of bfloat16 take less time here than those of float32.

    So they do where the processor has instructions for them, and elsewhere they may
    take many times as long. Tried once; results do not depend on it.
    """
    tried = np.random.default_rng(0).normal(size=(512, 512))
    seconds = []
    for kind in (tf.float32, tf.bfloat16):
        x = tf.cast(tried, kind)
        turns = []
        for _ in range(4):
            begun = time.perf_counter()
            tf.matmul(x, x, transpose_b=True).numpy()
            turns.append(time.perf_counter() - begun)
        seconds.append(min(turns))
    return seconds[1] < 0.8 * seconds[0]
