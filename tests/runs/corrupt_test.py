"""A folder as people have them: without labels, of every kind, some of it broken."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ssl.core import run_dir


@pytest.fixture
def folder(tmp_path):
    """Twenty images, three of which cannot be read."""
    rng = np.random.default_rng(0)
    where = tmp_path / "images" / "deep"
    where.mkdir(parents=True)
    for i in range(17):
        size = (40 + i, 60 - i)
        image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        image = image.resize((1, 1) if i == 3 else size)
        mode = {0: "L", 1: "RGBA", 2: "CMYK"}.get(i, "RGB")
        image.convert(mode).save(where / f"{i}.{'png' if i == 1 else 'jpg'}")
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(whole, "JPEG")
    (where / "half.jpg").write_bytes(whole.getvalue()[:900])
    (where / "empty.jpg").touch()
    (where.parent / "text.jpeg").write_text("no image")
    return where.parent


def train(root, run, folder, *bindings):
    words = [f"--gin={binding}" for binding in bindings]
    command = [sys.executable, root / "tools" / "train.py", f"--run_dir={run}"]
    command += ["--gin_file=methods/simclr.gin", "--gin_file=tiny.gin"]
    command += ["--gin=train.split = 'train'", "--gin=train.batch_size = 10"]
    command += [f"--data=folder:{folder}", "--precision=float32", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_leaves_out_what_cannot_be_read(pytestconfig, tmp_path, folder):
    run = tmp_path / "run"
    done = train(pytestconfig.rootpath, run, folder, "train.max_corrupt = 0.2")
    assert done.returncode == 0, done.stderr
    for name in ("deep/half.jpg", "deep/empty.jpg", "text.jpeg"):
        assert done.stderr.count(str(folder / name)) == 1
    assert done.stderr.count("Left out an image") == 3
    record = run_dir.read_json(run / run_dir.RUN)
    assert record["status"] == "finished"
    assert record["data"]["images"] == 20
    assert record["data"]["unreadable"] == 3


def test_a_run_with_too_many_ends_in_one_sentence(pytestconfig, tmp_path, folder):
    done = train(pytestconfig.rootpath, tmp_path / "run", folder)
    assert done.returncode == 2
    (last,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "of 20 images cannot be read, such as " in last
    assert "At most 1.00% may be" in last
    assert "train.max_corrupt" in last
    assert "Traceback" not in done.stderr
