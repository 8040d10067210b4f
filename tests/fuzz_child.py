"""Feeds damaged files to the readers, in a process that may die of them.

`python -m tests.fuzz_child KIND SEED COUNT` prints what became of them, as JSON.
"""

import io
import json
import os
import struct
import sys
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_ssl.core import config, registry
from keras_ssl.data import decode, headers, pipeline, records, sources

MOST = 1 << 20
# Where each kind's header has its sides, and how they are packed.
SIDES = {"JPEG": ">HH", "PNG": (16, ">II"), "GIF": "<HH", "BMP": (18, "<ii")}
LENGTHS = (0, 1, 99, 2**31, 2**40, 2**63 + 5, 2**64 - 17)
GIN_WORDS = [
    *(b"( ) [ ] { } ' \" @ % = . / \\ # : , include import \x00 \xff ''' None".split()),
    b"\n",
    b"\r",
    b"    ",
    b"(" * 400,
    b"@a/b/c()",
    b"include 'm.gin'\n",
    b"include '.'\n",
    b"import nothing.at.all\n",
    b"a = %b\nb = %a\n",
    b"9" * 5000,
    b"-1_e999",
    "\u00e9".encode(),
]


def memory(name):
    """Of this process now (VmRSS), or its peak (VmHWM) since `forget_peak`, MiB."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[name].split()[0]) / 1024


def forget_peak():
    """Returns what there is now, from which the peak is counted anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return memory("VmRSS")


def quietly_small(rng):
    """Small pictures of every kind, as another library writes them."""
    found = []
    for height, width in ((1, 1), (7, 5), (24, 31)):
        coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
        rgb = coarse.resize((width, height))
        alpha = rgb.copy()
        alpha.putalpha(rgb.convert("L"))
        palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
        later = [palette.rotate(90)]
        moving = {"save_all": True, "append_images": [rgb.rotate(90)]}
        wide = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
        for image, kind, options in (
            (rgb, "JPEG", {"quality": 90}),
            (rgb, "JPEG", {"progressive": True}),
            (rgb.convert("L"), "JPEG", {}),
            (rgb.convert("CMYK"), "JPEG", {}),
            (rgb, "PNG", {}),
            (alpha, "PNG", {}),
            (palette, "PNG", {}),
            (wide, "PNG", {}),
            (rgb.convert("1"), "PNG", {}),
            (palette, "GIF", {}),
            (palette, "GIF", {"save_all": True, "append_images": later}),
            (rgb, "BMP", {}),
            (palette, "BMP", {}),
            (alpha, "BMP", {}),
            (rgb, "WEBP", {"quality": 70}),
            (rgb, "WEBP", {"lossless": True}),
            (alpha, "WEBP", {"quality": 70}),
            (alpha, "WEBP", {"lossless": True}),
            (rgb, "WEBP", moving),
            (alpha, "WEBP", {**moving, "append_images": [alpha.rotate(90)]}),
        ):
            file = io.BytesIO()
            image.save(file, kind, **options)
            found.append((kind, file.getvalue()))
    return found


def mutate(data, rng, words=(b"\x00", b"\xff", b"\xff\xff\xff\xff")):
    """One to three damages: a bit, a cut, bytes that go, come, or come again."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data) + 1))
        end = min(len(data), at + int(rng.integers(1, 20)))
        kind = rng.integers(6)
        if kind == 0:
            data[at:end] = rng.bytes(end - at)
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end]
        elif kind == 4:
            data[at:at] = words[rng.integers(len(words))]
        else:
            # Half of the cuts are near the end, where they are hard to see.
            del data[at if rng.integers(2) else -int(rng.integers(1, 9)) :]
    return bytes(data)


def claims_more(kind, data, rng):
    """The file with other sides in its header, mostly huge ones."""
    sides = [int(x) for x in rng.choice([0, 1, 9, 300, 16383, 65535, 2**31 - 1], 2)]
    if kind == "WEBP":
        at = {b"VP8X": 24, b"VP8L": 21}.get(data[12:16], 26)
        return data[:at] + rng.bytes(6 if at == 24 else 4) + data[at + 6 :]
    if kind == "JPEG":
        frames = [data.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2")]
        at, form = max(frames) + 5, ">HH"
    elif kind == "GIF":
        screen = data.find(b",", 13) + 5
        at, form = (screen if rng.integers(3) else 6), "<HH"
    else:
        at, form = SIDES[kind]
    if "H" in form:
        sides = [side % 65536 for side in sides]
    packed = struct.pack(form, *sides)
    return data[:at] + packed + data[at + len(packed) :]


def bombs():
    """Small files that are huge when they are decoded, beside those that claim it."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    yield file.getvalue()
    file = io.BytesIO()
    Image.new("P", (4_000, 4_000)).save(file, "GIF")
    yield file.getvalue()
    file = io.BytesIO()
    Image.new("RGB", (4_000, 4_000)).save(file, "WEBP", lossless=True)
    yield file.getvalue()
    file = io.BytesIO()
    Image.new("L", (4_000, 4_000)).save(file, "JPEG")
    yield file.getvalue()
    # Many frames, each of them small enough.
    frames = [Image.new("P", (1000, 1000), i % 256) for i in range(60)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    yield file.getvalue()


def said_size(data):
    """Height and width that another reader finds in the header; None if it can't."""
    if data.startswith(b"GIF8"):
        # Its frames', not the screen's.
        found = headers.claim(data)
        return found.height, found.width
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except Exception:
        return None


def images(rng, count):
    small = quietly_small(rng)
    made = list(bombs())
    while len(made) < count:
        kind, data = small[rng.integers(len(small))]
        make = claims_more if rng.integers(4) == 0 else lambda k, d, r: mutate(d, r)
        made.append(make(kind, data, rng))
    with tf.device("CPU"):
        held = tf.constant(made)
    base = sources.from_files("fuzz", "train", count, lambda i: held[i])
    source = sources._limited(base, "fuzz", MOST)
    start = forget_peak()
    batches = pipeline.numbered_batches(source, 8, 64, max_corrupt=1.0)
    read = np.concatenate([index for index, _ in batches])
    shapes = dict(
        (int(i), tuple(shape))
        for i, shape in tf.data.Dataset.from_tensor_slices(read)
        .map(lambda i: (i, tf.shape(source.read(i))[:2]), tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )

    def corner(height, width):
        del height, width
        return tf.constant([[0, 0, 1, 1]])

    parts = tf.data.Dataset.range(count).map(
        lambda i: (i, decode.parts(held[i], corner, MOST)[0][0, 0]), tf.data.AUTOTUNE
    )
    partly = {int(i) for i, _ in parts.ignore_errors().as_numpy_iterator()}
    sizes = {i: said_size(made[i]) for i in shapes}
    return {
        "tried": count,
        "unreadable": source.unreadable.count,
        "read": len(read),
        "other_shape": [
            f"{made[i][:12]!r} {shapes[i]} {sizes[i]}"
            for i in shapes
            if sizes[i] is not None and sizes[i] != shapes[i]
        ],
        "of_unknown_size": sum(size is None for size in sizes.values()),
        "largest": int(max(h * w for h, w in shapes.values())),
        "whole_but_not_in_part": len(set(shapes) - partly),
        "growth": memory("VmHWM") - start,
    }


def tfrecords(rng, count):
    picture = tf.io.encode_png(np.zeros((3, 4, 3), np.uint8)).numpy()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    features = tf.train.Features(feature={"image": feature})
    content = tf.train.Example(features=features).SerializeToString()
    folder = tempfile.mkdtemp()
    whole = os.path.join(folder, "whole")
    with tf.io.TFRecordWriter(whole) as file:
        for _ in range(4):
            file.write(content)
    with open(whole, "rb") as file:
        intact = file.read()
    each = len(intact) // 4
    refused, paths = {}, []
    start = forget_peak()
    for i in range(count):
        data = mutate(intact, rng)
        if i % 4 == 0:
            # A length that is huge, or only wrong.
            at = each * int(rng.integers(4))
            length = LENGTHS[rng.integers(len(LENGTHS))]
            data = intact[:at] + struct.pack("<Q", length) + intact[at + 8 :]
        path = os.path.join(folder, f"{i}")
        with open(path, "wb") as file:
            file.write(data)
        try:
            records.find([path])
            paths.append(path)
        except ValueError as error:
            words = ("no TFRecord", "wrong checksum", "not copied in full")
            (why,) = [word for word in words if word in str(error)]
            refused[why] = refused.get(why, 0) + 1
    found = records.find(paths)
    read = found.reader()

    def encoded(index):
        spec = {"image": tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(read(index), spec)["image"]

    source = sources.from_files("f", "train", len(found), encoded, where=found.where)
    batches = pipeline.numbered_batches(source, 4, 64, max_corrupt=1.0)
    good = sum(len(index) for index, _ in batches)
    return {
        "tried": count,
        "refused": refused,
        "records": len(found),
        "read": good,
        "unreadable": source.unreadable.count,
        "growth": memory("VmHWM") - start,
    }


def gin(rng, count):
    registry.load("keras_ssl")
    names = ("methods/simclr.gin", "methods/dino.gin", "base.gin", "tiny.gin")
    texts = [(config.root() / name).read_bytes() for name in names]
    os.chdir(tempfile.mkdtemp())
    found = {"tried": count, "valid": 0, "refused": 0, "not_one_line": []}
    start = forget_peak()
    for _ in range(count):
        with open("m.gin", "wb") as file:
            file.write(mutate(texts[rng.integers(len(texts))], rng, GIN_WORDS))
        try:
            config.parse(["m.gin"])
            found["valid"] += 1
        except ValueError as error:
            found["refused"] += 1
            if "\n" in str(error):
                found["not_one_line"].append(str(error))
    return {**found, "growth": memory("VmHWM") - start}


if __name__ == "__main__":
    work = {"images": images, "tfrecords": tfrecords, "gin": gin}[sys.argv[1]]
    result = work(np.random.default_rng(int(sys.argv[2])), int(sys.argv[3]))
    sys.stdout.write(json.dumps({**result, "peak": memory("VmHWM")}) + "\n")
