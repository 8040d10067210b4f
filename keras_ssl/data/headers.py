"""What the header of a GIF, BMP or WebP file claims, before anything is decoded.

Decoders take the memory that a file claims to need, and a small file can claim any.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Claim(NamedTuple):
    """What decoding would make.

    Attributes:
        height: Of the image, pixels.
        width: Of the image, pixels.
        pixels: Of all that is decoded; a GIF's frames are decoded together.
        alpha: Whether it has a fourth channel.
    """

    height: int = 0
    width: int = 0
    pixels: int = 0
    alpha: bool = False


def claim(data: bytes) -> Claim:
    """Reads the header of a file.

    Args:
        data: The file's content.

    Returns:
        What it claims; nothing of a file of another kind, or of one too short to say
        it, which no decoder takes.
    """
    for begins, read in ((b"GIF8", _gif), (b"BM", _bmp), (b"RIFF", _webp)):
        if data.startswith(begins):
            try:
                return read(data)
            except (struct.error, IndexError):
                return Claim()
    return Claim()


def _of(height: int, width: int, alpha: bool = False) -> Claim:
    return Claim(height, width, height * width, alpha)


def _bmp(data: bytes) -> Claim:
    width, height = struct.unpack_from("<ii", data, 18)
    return _of(abs(height), abs(width))


def _webp(data: bytes) -> Claim:
    kind = data[12:16]
    if kind == b"VP8X":
        wide, wider, high, higher = struct.unpack_from("<HBHB", data, 24)
        alpha = bool(data[20] & 0x10)
        return _of((higher << 16 | high) + 1, (wider << 16 | wide) + 1, alpha)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return _of((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1, bool(bits >> 28 & 1))
    width, height = struct.unpack_from("<HH", data, 26)
    return _of(height & 0x3FFF, width & 0x3FFF)


def _gif(data: bytes) -> Claim:
    """The largest frame, and the pixels of all."""
    sizes = list(_frames(data))
    return Claim(
        max((height for height, _ in sizes), default=0),
        max((width for _, width in sizes), default=0),
        sum(height * width for height, width in sizes),
    )


def _frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Height and width of each frame that begins, in a truncated file too."""
    at = 13 + _colors(data[10])
    # The end, or what is none of the blocks: a decoder stops there too.
    while data[at : at + 1] in (b"!", b","):
        if data[at : at + 1] == b"!":
            at += 2
        elif at + 10 <= len(data):
            width, height, flags = struct.unpack_from("<HHB", data, at + 5)
            yield height, width
            at += 11 + _colors(flags)
        else:
            return
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1


def _colors(flags: int) -> int:
    """Bytes of a table of colours, if there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
