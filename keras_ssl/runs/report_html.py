"""Pieces of a page: tables, pictures and sheets of small images, all of it inline."""

import base64
import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Colours that can be told apart on white and on black, then evenly spread hues.
_COLOURS = (
    *("#4c8bf5", "#f28e2b", "#3fa34d", "#d95f5f", "#9a6fd0"),
    *("#a9744f", "#e377c2", "#8a9099", "#b5a61c", "#1fa8b8"),
)


# Bounds stand below their mean.
_INTERVAL, _BELOW = (
    re.compile(r"^([\d.]+) (\([\d.]+ to [\d.]+\))$"),
    r"\1 <small>\2</small>",
)


class Sheet(NamedTuple):
    """Equally large pictures in one image.

    Attributes:
        uri: The image, as a data URI.
        columns: Pictures in a row.
        rows: Rows.
        side: Of a picture, pixels.
    """

    uri: str
    columns: int
    rows: int
    side: int

    def place(self, number: int) -> str:
        """Style that shows one of the pictures as a background."""
        x, y = number % self.columns, number // self.columns
        left, top = (
            100 * at / max(1, count - 1)
            for at, count in ((x, self.columns), (y, self.rows))
        )
        return f"background-position:{left:.4g}% {top:.4g}%"


def sheet(pictures: np.ndarray, columns: int | None = None) -> Sheet:
    """Puts pictures into one JPEG.

    Args:
        pictures: `(n, s, s, 3)` uint8.
        columns: Pictures in a row; about as many as rows if None.
    """
    count, side = pictures.shape[:2]
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    whole = np.zeros((rows * columns, side, side, 3), np.uint8)
    whole[:count] = pictures
    grid = whole.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    image = grid.reshape(rows * side, columns * side, 3)
    # Colours of small pictures suffer from being stored at half the size.
    encoded = tf.io.encode_jpeg(image, quality=85, chroma_downsampling=False)
    return Sheet(uri("image/jpeg", encoded.numpy()), columns, rows, side)


def uri(kind: str, content: bytes) -> str:
    """A file as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def colour(number: int, count: int) -> str:
    """One of `count` colours that differ, as CSS."""
    if count <= len(_COLOURS):
        return _COLOURS[number]
    # Steps of the golden angle: neighbours in number are far apart in hue.
    return f"hsl({number * 137.508 % 360:.0f} 60% {(45, 58, 68)[number % 3]}%)"


def text(value: object) -> str:
    """Anything as text of a page; names of files may be no text."""
    return html.escape(str(value).encode("utf-8", "replace").decode())


def tile(found: Sheet, name: str, number: int, label: str, more: str = "") -> str:
    """One picture of a sheet.

    Args:
        found: The sheet.
        name: Its class in the page's style.
        number: Of the picture.
        label: What it shows, for who cannot see it.
        more: Further classes.
    """
    return (
        f'<span class="tile {name} {more}" role="img" aria-label="{text(label)}" '
        f'style="{found.place(number)}"></span>'
    )


def sheet_style(found: Sheet, name: str) -> str:
    """CSS by which tiles show a sheet."""
    return (
        f".{name}{{background-image:url({found.uri});"
        f"background-size:{100 * found.columns}% {100 * found.rows}%}}"
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str,
    numbers: bool = False,
    marked: Iterable[int] = (),
) -> str:
    """A table that scrolls in itself where the page is narrow.

    Args:
        head: Names of columns.
        rows: Cells as text, the first one being the row's name.
        caption: What it shows.
        numbers: Whether cells after the first are set to the right.
        marked: Numbers of rows that are set off.
    """
    marks = set(marked)
    lines = []
    for number, row in enumerate(rows):
        first, *others = (text(cell) for cell in row)
        cells = "".join(f"<td>{_INTERVAL.sub(_BELOW, cell)}</td>" for cell in others)
        mark = ' class="differs"' if number in marks else ""
        lines.append(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>')
    names = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    kind = ' class="numbers"' if numbers else ' class="records"'
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
        f"<table{kind}><caption>{text(caption)}</caption><thead><tr>{names}</tr>"
        f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def note(sentence: str) -> str:
    """A remark."""
    return f'<p class="note">{text(sentence)}</p>'


def folded(title: str, inside: str) -> str:
    """What is shown when it is asked for."""
    return f"<details><summary>{text(title)}</summary>{inside}</details>"
