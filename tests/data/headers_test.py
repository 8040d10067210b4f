import io

import pytest
from PIL import Image

from keras_ssl.data import headers


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RGB = Image.new("RGB", (52, 40), (9, 80, 7))


@pytest.mark.parametrize(
    ("kind", "mode", "options", "alpha"),
    [
        ("GIF", "P", {}, False),
        ("GIF", "P", {"comment": b"words"}, False),
        ("BMP", "RGB", {}, False),
        ("BMP", "RGBA", {}, False),
        ("WEBP", "RGB", {"quality": 50}, False),
        ("WEBP", "RGB", {"lossless": True}, False),
        ("WEBP", "RGBA", {"quality": 50}, True),
        ("WEBP", "RGBA", {"lossless": True}, True),
    ],
)
def test_what_is_claimed(kind, mode, options, alpha):
    image = RGB.convert(mode)
    if mode == "RGBA":
        image.putalpha(100)
    data = encode(image, kind, **options)
    assert headers.claim(data) == (40, 52, 40 * 52, alpha and kind == "WEBP")
    # What is cut short claims the same, or nothing yet; never is that an error.
    for length in range(len(data)):
        assert headers.claim(data[:length]) in {
            headers.claim(data),
            headers.Claim(),
        }


def test_all_frames_count_and_the_largest_one_is_the_image():
    frames = [RGB.convert("P"), Image.new("P", (52, 40), 3)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert headers.claim(data) == (40, 52, 2 * 40 * 52, False)


def test_other_kinds_claim_nothing():
    for data in (b"", b"text", encode(RGB, "PNG"), encode(RGB, "JPEG")):
        assert headers.claim(data) == headers.Claim()
