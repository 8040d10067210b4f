"""From the bytes of an image file to pixels, whatever the file's name says.

JPEG, PNG, GIF (the first frame), BMP and WebP become RGB: grey and palette images get
three channels, 16 bits become 8, CMYK is converted, and transparency is dropped without
blending, so that a transparent pixel shows the colour that is stored under it. The
orientation that EXIF may state is not applied: pixels come as they are stored, as from
every decoder of TensorFlow.

A file that cannot be read in full raises `tf.errors.InvalidArgumentError`: a truncated
one, one that is no image, or one of so many pixels that it would exhaust memory. What a
file claims to need is known before it is decoded; the limit is the source's, see
`sources.open_source`.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssl.data import headers

# 400 MB as RGB; cameras stay below. A small file can claim any size.
MOST_PIXELS = 1 << 27
# As fast as the default (measured), which makes red and blue a level too small.
_DCT = "INTEGER_ACCURATE"
# Smoothed chroma at a window's edge needs its neighbours: 16 pixels are one block.
_MARGIN = 16

Boxes = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def image(data: tf.Tensor, most: int = MOST_PIXELS) -> tf.Tensor:
    """All pixels of an image.

    Args:
        data: Scalar string, the file's content.
        most: Greatest number of pixels that is decoded.

    Returns:
        `(h, w, 3)` uint8.
    """
    return _rgb(
        tf.cond(_is_jpeg(data), lambda: _jpeg(data, most), lambda: _other(data, most))
    )


def parts(
    data: tf.Tensor, boxes: Boxes, most: int = MOST_PIXELS
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels that hold some boxes; of a JPEG no others are made.

    Args:
        data: Scalar string, the file's content.
        boxes: `(height, width) -> (b, 4)` int32: top, left, bottom, right in pixels,
            none of them empty or beyond the image.
        most: Greatest number of pixels that an image may have.

    Returns:
        `(h, w, 3)` uint8, and the boxes `(b, 4)` counted from its corner.
    """

    def jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        size = _jpeg_size(data, most)
        found = boxes(size[0], size[1])
        first = tf.maximum(tf.reduce_min(found[:, :2], axis=0) - _MARGIN, 0)
        last = tf.minimum(tf.reduce_max(found[:, 2:], axis=0) + _MARGIN, size)
        # What lacks the end may be truncated below the boxes: found out by reading all.
        complete = tf.equal(tf.strings.substr(data, -2, 2), b"\xff\xd9")
        first = tf.where(complete, first, 0)
        last = tf.where(complete, last, size)
        window = tf.concat([first, last - first], axis=0)
        pixels = tf.image.decode_and_crop_jpeg(data, window, 3, dct_method=_DCT)
        return pixels, found - tf.tile(first, [2])

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        pixels = _other(data, most)
        return pixels, boxes(tf.shape(pixels)[0], tf.shape(pixels)[1])

    pixels, found = tf.cond(_is_jpeg(data), jpeg, other)
    return _rgb(pixels), found


def _other(data: tf.Tensor, most: int) -> tf.Tensor:
    is_png = tf.equal(tf.strings.substr(data, 0, 4), b"\x89PNG")
    return tf.cond(is_png, lambda: _png(data, most), lambda: _rare(data, most))


def _rare(data: tf.Tensor, most: int) -> tf.Tensor:
    """What is neither JPEG nor PNG; Python reads its header."""

    def rgb() -> tf.Tensor:
        return tf.io.decode_image(data, 3, expand_animations=False)

    def rgba() -> tf.Tensor:
        # Only WebP has it here. Asked for three channels, it refuses four; asked for
        # as many as there are (0), TensorFlow 2.21 aborts on some animations.
        return tf.io.decode_image(data, 4, expand_animations=False)[..., :3]

    claimed = tf.numpy_function(_claimed, [data], tf.int64)
    claimed = tf.ensure_shape(claimed, [4])
    with tf.control_dependencies([_check(claimed[:2], claimed[2], most)]):
        is_bmp = tf.equal(tf.strings.substr(data, 0, 2), b"BM")
        return tf.cond(
            is_bmp,
            lambda: _bmp(data),
            lambda: tf.cond(tf.equal(claimed[3], 1), rgba, rgb),
        )


def servable(data: tf.Tensor, most: int = MOST_PIXELS) -> tf.Tensor:
    """As `image`, by TensorFlow's operations alone, so that any process can run it.

    JPEG, PNG, GIF and BMP; of WebP only Python can tell what it claims.

    Args:
        data: Scalar string, the file's content.
        most: Greatest number of pixels that is decoded.

    Returns:
        `(h, w, 3)` uint8.
    """

    def sides(at: int, kind: tf.DType) -> tf.Operation:
        """Checks width and height, which stand there in a header."""
        numbers = tf.strings.substr(data, at, 2 * kind.size)
        size = tf.cast(tf.io.decode_raw(numbers, kind), tf.int64)
        # A BMP of negative height is stored from above.
        size = tf.abs(tf.ensure_shape(size, [2]))[::-1]
        return _check(size, tf.reduce_prod(size), most)

    def bmp() -> tf.Tensor:
        with tf.control_dependencies([sides(18, tf.int32)]):
            return _bmp(data)

    def gif() -> tf.Tensor:
        known = tf.debugging.Assert(
            tf.equal(tf.strings.substr(data, 0, 3), b"GIF"),
            ["image_bytes must be whole JPEG, PNG, GIF or BMP files."],
        )
        with tf.control_dependencies([known]):
            checked = sides(6, tf.uint16)
        with tf.control_dependencies([checked]):
            return tf.io.decode_image(data, 3, expand_animations=False)

    start = tf.strings.substr(data, 0, 4)
    is_bmp = tf.equal(tf.strings.substr(data, 0, 2), b"BM")
    pixels = tf.case(
        [
            (_is_jpeg(data), lambda: _jpeg(data, most)),
            (tf.equal(start, b"\x89PNG"), lambda: _png(data, most)),
            (is_bmp, bmp),
        ],
        default=gif,
    )
    return _rgb(pixels)


def _jpeg(data: tf.Tensor, most: int) -> tf.Tensor:
    with tf.control_dependencies([_jpeg_size(data, most)]):
        return tf.io.decode_jpeg(data, 3, dct_method=_DCT)


def _png(data: tf.Tensor, most: int) -> tf.Tensor:
    with tf.control_dependencies([_check_png(data, most)]):
        return tf.io.decode_png(data, 3)


def _bmp(data: tf.Tensor) -> tf.Tensor:
    # Asked for three channels, it refuses files that have one or four.
    pixels = tf.io.decode_bmp(data)
    # One channel is a number of a colour in the table between header and pixels.
    table = tf.equal(tf.shape(pixels)[-1], 1)
    return tf.cond(
        table,
        lambda: tf.gather(_bmp_colors(data), tf.cast(pixels[..., 0], tf.int32)),
        lambda: pixels[..., :3],
    )


def _claimed(data: bytes | np.ndarray) -> np.ndarray:
    # An array of one object where nothing is traced.
    return np.array(headers.claim(bytes(np.asarray(data).item())), np.int64)


def _bmp_colors(data: tf.Tensor) -> tf.Tensor:
    """The colour table of a BMP, `(colors, 3)` uint8; stored blue, green, red, 0."""
    pixels_at = tf.io.decode_raw(tf.strings.substr(data, 10, 4), tf.int32)[0]
    colors_at = tf.io.decode_raw(tf.strings.substr(data, 14, 4), tf.int32)[0] + 14
    colors = tf.strings.substr(data, colors_at, pixels_at - colors_at)
    return tf.reshape(tf.io.decode_raw(colors, tf.uint8), [-1, 4])[:, 2::-1]


def _is_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")


def _jpeg_size(data: tf.Tensor, most: int) -> tf.Tensor:
    """Height and width, `(2,)` int32, from the header."""
    size = tf.io.extract_jpeg_shape(data)[:2]
    wide = tf.cast(size, tf.int64)
    with tf.control_dependencies([_check(wide, tf.reduce_prod(wide), most)]):
        return tf.identity(size)


def _check_png(data: tf.Tensor, most: int) -> tf.Operation:
    """Checks the size that a PNG's header claims."""
    sides = tf.cond(
        tf.strings.length(data) > 24,
        lambda: tf.strings.substr(data, 16, 8),
        lambda: tf.constant(bytes(8)),
    )
    size = tf.io.decode_raw(sides, tf.int32, little_endian=False)
    size = tf.cast(tf.ensure_shape(size, [2]), tf.int64)
    # A side of 2^31 and more, which no PNG has, is negative here.
    size = tf.where(size < 0, tf.constant(1 << 31, tf.int64), size)
    return _check(size[::-1], tf.reduce_prod(size), most)


def _check(size: tf.Tensor, pixels: tf.Tensor, most: int) -> tf.Operation:
    """Refuses what claims more pixels; `size` and `pixels` are int64."""
    # Two sides of 2^31 are 2^62, which int64 holds.
    return tf.debugging.Assert(
        pixels <= most,
        [
            "Too many pixels: height and width",
            size,
            "make",
            pixels,
            "and ?max_pixels= of the source is",
            most,
        ],
        summarize=4,
    )


def _rgb(pixels: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(pixels, [None, None, 3])
