"""Sheets of small pictures with names, as arrays: quickly made, and the same always."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_ssl.core import durable

Color = tuple[int, int, int]
INK, PAPER, FAINT = (40, 40, 40), (255, 255, 255), (215, 215, 215)
GREEN, RED, BLUE = (34, 139, 69), (203, 65, 60), (31, 90, 180)
# About how large a picture is shown, and how large at most; pixels.
_SHOWN, _MOST = 96, 128
_GAP, _FRAME, _LINE, _FONT = 4, 3, 18, 14


class Cell(NamedTuple):
    """A picture with a frame and a line of text below, where there are any.

    `picture` is as for `fitted`.
    """

    picture: np.ndarray
    note: str = ""
    color: Color | None = None


def sheet(rows: Mapping[str, Sequence[np.ndarray | Cell]]) -> np.ndarray:
    """Puts named rows of pictures under one another.

    Args:
        rows: Pictures by the name of their row; rows may differ in length.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        ValueError: If there is no picture.
    """
    cells = {name: [_cell(x) for x in row] for name, row in rows.items()}
    sizes = [max(c.picture.shape[:2]) for row in cells.values() for c in row]
    if not sizes:
        raise ValueError("A sheet needs at least one picture.")
    # Recordings have no size of their own.
    drawn = [c.picture.ndim > 1 for row in cells.values() for c in row]
    size = max((s for s, d in zip(sizes, drawn, strict=True) if d), default=_SHOWN)
    side = min(size * max(1, round(_SHOWN / size)), _MOST)
    noted = any(cell.note for row in cells.values() for cell in row)
    wide, high = side + 2 * _FRAME + _GAP, side + 2 * _FRAME + _GAP + noted * _LINE
    page = Page(10, 10)
    left = max(page.width_of(name) for name in cells) + 3 * _GAP
    columns = max(map(len, cells.values()))
    page = Page(left + columns * wide + _GAP, len(cells) * high + _GAP)
    for i, (name, row) in enumerate(cells.items()):
        top = _GAP + i * high
        page.text(_GAP, top + (side - _LINE) // 2, name)
        for j, cell in enumerate(row):
            page.cell(left + j * wide, top, side, cell)
    return page.array()


class Page:
    """A white page to put pictures, words and lines on.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        # Imported late, as all that draws.
        from PIL import Image, ImageDraw, ImageFont

        self.image = Image.new("RGB", (width, height), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(_FONT)

    def width_of(self, text: str) -> int:
        """How many pixels a text takes."""
        return int(np.ceil(self.pen.textlength(text, font=self.font)))

    def text(self, x: int, y: int, text: str, color: Color = INK) -> None:
        """Writes a line whose upper left corner is at `x, y`."""
        self.pen.text((x, y), text, fill=color, font=self.font)

    def line(self, points: np.ndarray, color: Color = INK, width: int = 1) -> None:
        """Draws through points `(n, 2)`, `x, y` each."""
        self.pen.line([(float(x), float(y)) for x, y in points], color, width)

    def cell(self, x: int, y: int, side: int, cell: Cell) -> None:
        """Puts a picture of so many pixels there, framed, its note below."""
        if cell.color is not None:
            end = side + 2 * _FRAME - 1
            self.pen.rectangle((x, y, x + end, y + end), cell.color)
        self.paste(x + _FRAME, y + _FRAME, fitted(cell.picture, side))
        if cell.note:
            self.text(x + _FRAME, y + side + 2 * _FRAME, cell.note, cell.color or INK)

    def paste(self, x: int, y: int, picture: np.ndarray) -> None:
        """Puts a picture `(h, w, 3)` uint8 there."""
        from PIL import Image

        self.image.paste(Image.fromarray(picture), (x, y))

    def array(self) -> np.ndarray:
        """The page, `(h, w, 3)` uint8."""
        return np.array(self.image)


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture as large as fits into a square, on white.

    Args:
        picture: `(h, w, 3)` or `(h, w, 1)`, uint8 or floats, which are clipped to
            [0, 1]; or a waveform `(samples,)`, int16 or floats.
        side: Of the square in pixels. Small pictures are enlarged a whole number of
            times, so that their pixels are seen.

    Returns:
        `(side, side, 3)` uint8.
    """
    from PIL import Image

    if picture.ndim == 1:
        return _waveform(picture, side)
    shown = _bytes(picture)
    height, width = shown.shape[:2]
    if max(height, width) > side:
        share = side / max(height, width)
        to = (max(1, round(width * share)), max(1, round(height * share)))
        image = Image.fromarray(shown).resize(to, Image.Resampling.BOX)
        shown = np.array(image)
    else:
        times = side // max(height, width)
        shown = shown.repeat(times, axis=0).repeat(times, axis=1)
    top, left = ((side - n) // 2 for n in shown.shape[:2])
    found = np.full((side, side, 3), 255, np.uint8)
    found[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return found


def png(picture: np.ndarray) -> bytes:
    """A picture `(h, w, 3)` uint8 as the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def save(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes a picture `(h, w, 3)` uint8 as a PNG, whole or not at all.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    data = png(picture)
    with durable.replacing(path, "wb", len(data)) as file:
        file.write(data)


def _cell(x: np.ndarray | Cell) -> Cell:
    return x if isinstance(x, Cell) else Cell(np.asarray(x))


def _bytes(picture: np.ndarray) -> np.ndarray:
    """`(h, w, 3)` uint8."""
    if picture.dtype != np.uint8:
        clean = np.nan_to_num(np.asarray(picture, np.float32))
        picture = np.round(np.clip(clean, 0.0, 1.0) * 255).astype(np.uint8)
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def _waveform(samples: np.ndarray, side: int) -> np.ndarray:
    """What a recording's samples lie between, from left to right."""
    scale = 32768.0 if samples.dtype == np.int16 else 1.0
    x = np.nan_to_num(samples.astype(np.float32)) / scale
    # Quiet ones are to be seen too.
    x = x / max(float(np.abs(x).max(initial=0.0)), 1e-6)
    parts = np.array_split(x, side) if len(x) >= side else [[v] for v in x]
    found = np.full((side, side, 3), 255, np.uint8)
    for column, part in enumerate(parts):
        if not len(part):
            continue
        ends = np.array([np.max(part), np.min(part)])
        top, bottom = np.round((1 - ends) / 2 * (side - 1)).astype(int)
        found[top : bottom + 1, column] = BLUE
    return found
