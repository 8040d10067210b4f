"""Real files of every kind, made by another library than the one that reads them."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ssl.data import decode

RNG = np.random.default_rng(0)


def smooth(height, width):
    coarse = Image.fromarray(RNG.integers(0, 256, (5, 6, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RGB = smooth(40, 52)
GREY = RGB.convert("L")
PALETTE = RGB.convert("P", palette=Image.Palette.ADAPTIVE)
CLEAR = RGB.copy()
CLEAR.putalpha(GREY)
FILES = {
    "jpeg": encode(RGB, "JPEG", quality=95),
    "progressive": encode(RGB, "JPEG", progressive=True),
    "grey jpeg": encode(GREY, "JPEG"),
    "cmyk jpeg": encode(RGB.convert("CMYK"), "JPEG"),
    "ycck jpeg": encode(RGB.convert("CMYK"), "JPEG", quality=60, progressive=True),
    "exif": encode(
        RGB,
        "JPEG",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    ),
    "trailing bytes": encode(RGB, "JPEG") + b"\0\0\0",
    "png": encode(RGB, "PNG"),
    "rgba": encode(RGB.convert("RGBA"), "PNG"),
    "grey and alpha": encode(GREY.convert("LA"), "PNG"),
    "palette": encode(PALETTE, "PNG"),
    "one bit": encode(RGB.convert("1"), "PNG"),
    "bmp": encode(RGB, "BMP"),
    "grey bmp": encode(GREY, "BMP"),
    "palette bmp": encode(PALETTE, "BMP"),
    "rgba bmp": encode(RGB.convert("RGBA"), "BMP"),
    "gif": encode(PALETTE, "GIF"),
    "webp": encode(RGB, "WEBP", lossless=True),
    "rgba webp": encode(CLEAR, "WEBP", quality=80),
    "lossless rgba webp": encode(CLEAR, "WEBP", lossless=True),
    "1x1 jpeg": encode(smooth(1, 1), "JPEG"),
    "1x1 png": encode(smooth(1, 1), "PNG"),
    "tall": encode(smooth(900, 1), "JPEG"),
    "wide": encode(smooth(2, 700), "JPEG"),
    **{f"tall {kind}": encode(smooth(10_000, 1), kind) for kind in ("PNG", "BMP")},
    **{f"wide {kind}": encode(smooth(1, 10_000), kind) for kind in ("JPEG", "WEBP")},
    "wide GIF": encode(smooth(1, 10_000).convert("P"), "GIF"),
}


def thirds(height, width):
    """Two boxes that overlap, never empty."""
    return tf.stack(
        [
            [height // 3, width // 4, height // 2 + 1, width // 2 + 1],
            [height // 2, width // 3, height, 3 * width // 4 + 1],
        ]
    )


whole = tf.function(decode.image, input_signature=[tf.TensorSpec([], tf.string)])
parts = tf.function(
    lambda data: decode.parts(data, thirds),
    input_signature=[tf.TensorSpec([], tf.string)],
)


def same_parts(data, image, boxes):
    pixels, moved = boxes
    assert pixels.dtype == tf.uint8
    for box, own in zip(data, moved.numpy(), strict=True):
        cut = pixels[own[0] : own[2], own[1] : own[3]]
        np.testing.assert_array_equal(cut, image[box[0] : box[2], box[1] : box[3]])


@pytest.mark.parametrize("name", FILES)
def test_every_kind_becomes_rgb(name):
    data = FILES[name]
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    got = whole(data).numpy()
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, want)
    same_parts(thirds(*want.shape[:2]).numpy(), got, parts(data))


def test_sixteen_bits_become_eight():
    wide = np.asarray(GREY).astype(np.uint16) * 257
    got = whole(encode(Image.fromarray(wide), "PNG")).numpy()
    np.testing.assert_array_equal(got, np.asarray(GREY)[:, :, None].repeat(3, -1))


def test_transparency_is_dropped():
    image = RGB.copy()
    image.putalpha(GREY)
    np.testing.assert_array_equal(whole(encode(image, "PNG")), RGB)


def test_of_a_moving_image_the_first_frame():
    frames = [smooth(9, 7).convert("P") for _ in range(3)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(whole(data), frames[0].convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_parts_of_a_jpeg_are_those_of_the_whole(subsampling):
    noise = Image.fromarray(RNG.integers(0, 256, (131, 177, 3), np.uint8))
    data = tf.constant(encode(noise, "JPEG", subsampling=subsampling, quality=80))
    image = whole(data).numpy()
    for _ in range(25):
        top, left = RNG.integers(0, 131), RNG.integers(0, 177)
        box = [top, left, RNG.integers(top, 131) + 1, RNG.integers(left, 177) + 1]
        found = decode.parts(data, lambda h, w, box=box: tf.constant([box], tf.int32))
        same_parts([box], image, found)


def test_only_the_part_is_decoded():
    data = tf.constant(encode(smooth(600, 800), "JPEG"))
    box = tf.constant([[300, 400, 310, 410]])
    pixels, _ = decode.parts(data, lambda h, w: box)
    assert max(pixels.shape) <= 10 + 2 * 16


def png(width, height):
    """A small file of many black pixels."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def claims(data, height, width):
    """A JPEG whose header says another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def put(data, at, form, *sides):
    packed = struct.pack(form, *sides)
    return data[:at] + packed + data[at + len(packed) :]


GIF_FRAME = FILES["gif"].index(b",", 13 + 768) + 5
CLAIMS = {
    "jpeg": claims(FILES["jpeg"], 60_000, 60_000),
    "png": put(FILES["png"], 16, ">II", 60_000, 60_000),
    "png beyond 31 bits": put(FILES["png"], 16, ">II", 2**32 - 1, 2**32 - 1),
    "gif": put(FILES["gif"], GIF_FRAME, "<HH", 60_000, 60_000),
    "gif that ends there": put(FILES["gif"], GIF_FRAME, "<HH", 9**5, 9**5)[
        : GIF_FRAME + 9
    ],
    "bmp": put(FILES["bmp"], 18, "<ii", 60_000, -60_000),
    "webp": put(FILES["webp"], 21, "<I", 2**28 - 1),
    "rgba webp": put(FILES["rgba webp"], 24, "<HBHB", 60_000, 0, 60_000, 0),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_too_large_is_known_before_anything_is_decoded(name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Too many pixels"):
        whole(CLAIMS[name])


def test_frames_of_a_moving_image_count_together():
    frames = [smooth(9, 7).convert("P") for _ in range(3)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decode.image(tf.constant(data), 3 * 9 * 7)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Too many pixels"):
        decode.image(tf.constant(data), 3 * 9 * 7 - 1)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "bmp", "webp", "rgba webp"])
def test_the_limit_is_exact(name):
    data, corner = tf.constant(FILES[name]), tf.constant([[0, 0, 1, 1]])
    assert decode.image(data, 40 * 52).shape == (40, 52, 3)
    for read in (
        decode.image,
        lambda data, most: decode.parts(data, lambda h, w: corner, most),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Too many pixels"):
            read(data, 40 * 52 - 1)


def test_a_moving_image_that_tensorflow_cannot_tell_apart_is_unreadable():
    # Asked for as many channels as there are, TensorFlow aborts.
    frames = [smooth(20, 30) for _ in range(2)]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(tf.errors.InvalidArgumentError):
        whole(data)


LONG = encode(Image.fromarray(RNG.integers(0, 256, (300, 300, 3), np.uint8)), "JPEG")
BROKEN = {
    "empty": b"",
    "text": b"This is no image.",
    "half a jpeg": LONG[: len(LONG) // 2],
    "a jpeg without its end": LONG[:-2],
    "a jpeg's header": LONG[:30],
    "a jpeg's first bytes": b"\xff\xd8\xff",
    "half a png": FILES["png"][: len(FILES["png"]) // 2],
    "a png's header": FILES["png"][:20],
    "half a bmp": FILES["bmp"][:400],
    "half a palette": FILES["palette bmp"][:100],
    "half a gif": FILES["gif"][:60],
    "half a webp": FILES["webp"][:60],
    "a huge png": png(20_000, 20_000),
    "a huge jpeg": claims(LONG, 60_000, 60_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_raises(name):
    corner = tf.constant([[0, 0, 1, 1]])
    for read in (whole, lambda data: decode.parts(data, lambda h, w: corner)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            read(tf.constant(BROKEN[name]))


def test_large_but_not_too_large():
    assert whole(png(11_000, 12_000)).shape == (12_000, 11_000, 3)
