"""The spectrum of features: along how many directions images differ."""

import numpy as np

from keras_ssl.callbacks import sheets

# Decades that are drawn: single precision has no more.
_DECADES = 6
_WIDTH, _HEIGHT, _LEFT, _TOP = 420, 240, 46, 30


def spectrum(features: np.ndarray) -> np.ndarray:
    """Singular values of l2-normalised features around their mean, greatest first.

    As figure 2 of Jing et al. 2021 (https://arxiv.org/abs/2110.09348), which shows
    dimensional collapse as values that fall to 0; theirs are squares of these.

    Args:
        features: `(n, d)` floats, at least one row.

    Returns:
        `(min(n - 1, d),)` float32, at least one, divided by the square root of `n`;
        their squares are the variances along the principal directions.
    """
    x: np.ndarray = np.asarray(features, np.float32)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(lengths > 0, lengths, 1.0)
    x = x - x.mean(axis=0)
    # Of the smaller product, several times as fast as of x; in double precision the
    # root keeps as many digits as single precision has.
    exact = x.astype(np.float64)
    product = exact @ exact.T if len(x) < x.shape[1] else exact.T @ exact
    squares = np.linalg.eigvalsh(product)[::-1]
    # Around their mean, n rows have n - 1 directions.
    squares = np.maximum(squares[: max(1, len(x) - 1)], 0.0)
    return np.sqrt(squares / len(x)).astype(np.float32)


def summary(values: np.ndarray) -> dict[str, float]:
    """What a spectrum comes to.

    Args:
        values: As from `spectrum`.

    Returns:
        `std` (root of the variance in all directions together, in [0, 1]: 0 where all
        images share one point), `rank` (exponential of the entropy of the values'
        shares, at most their number) and `largest` (share of the variance along the
        first direction, in [0, 1]); the last two are 0 where there is no variance.
    """
    total, squares = float(values.sum()), np.square(values, dtype=np.float64)
    if not total > 0:
        return {"std": 0.0, "rank": 0.0, "largest": 0.0}
    shares = values / total
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return {
        "std": float(np.sqrt(squares.sum())),
        "rank": float(np.exp(-(shares * logs).sum())),
        "largest": float(squares[0] / squares.sum()),
    }


def curve(values: np.ndarray) -> np.ndarray:
    """Draws a spectrum: values over the greatest one, logarithmic, by their number.

    Args:
        values: `(k,)`, greatest first.

    Returns:
        The picture, `(h, w, 3)` uint8.
    """
    page = sheets.Page(_LEFT + _WIDTH + 20, _TOP + _HEIGHT + 44)
    page.text(_LEFT, 8, "singular values of features, of the greatest one")
    for decade in range(_DECADES + 1):
        y = _TOP + _HEIGHT * decade / _DECADES
        page.line(np.array([[_LEFT, y], [_LEFT + _WIDTH, y]]), sheets.FAINT)
        page.text(6, int(y) - 7, f"1e-{decade}" if decade else "1")
    last = max(len(values) - 1, 1)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = _LEFT + _WIDTH * share
        page.line(np.array([[at, _TOP + _HEIGHT], [at, _TOP + _HEIGHT + 4]]))
        word = str(round(last * share) + 1)
        page.text(int(at - page.width_of(word) / 2), _TOP + _HEIGHT + 7, word)
    page.text(_LEFT + _WIDTH // 2 - 24, _TOP + _HEIGHT + 24, "direction")
    top = float(values[0]) if len(values) else 0.0
    if np.isfinite(values).all() and top > 0:
        depth = -np.log10(np.maximum(values / top, 10.0**-_DECADES)) / _DECADES
        x = _LEFT + _WIDTH * np.arange(len(values)) / last
        points = np.column_stack([x, _TOP + _HEIGHT * depth])
        page.line(points if len(points) > 1 else points.repeat(2, 0), sheets.BLUE, 2)
    return page.array()
